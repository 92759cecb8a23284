// The distillation lab's networks: perceptrons with ReLU, their gradients, AdamW and SGD, and the pair that distils.
// Everything is in double precision, so that a test can hold it to PyTorch's numbers. Weights lie as in PyTorch
// (out x in, then the bias), layer after layer in one array.

/** Where the tensors of a perceptron lie in its array of parameters: [{ from, to, weight, bias }] and their count. */
export function layout(sizes) {
  let at = 0;
  const layers = sizes.slice(1).map((to, l) => {
    const layer = { from: sizes[l], to, weight: at, bias: at + to * sizes[l] };
    at += to * sizes[l] + to;
    return layer;
  });
  return { layers, count: at };
}

/** A perceptron of the given widths, for at most `most` inputs at a time. */
export class Network {
  constructor(sizes, most) {
    const { layers, count } = layout(sizes);
    Object.assign(this, { sizes, layers, count, most });
    this.values = new Float64Array(count);
    this.outputs = sizes.slice(1).map((size) => new Float64Array(size * most));
  }

  /** Compute logits of n inputs that begin at row `first` of `x`; they stay in the last of `outputs`. */
  forward(x, n, first = 0) {
    const { values } = this;
    let input = x, skip = first * this.sizes[0];
    for (let l = 0; l < this.layers.length; l++) {
      const { from, to, weight, bias } = this.layers[l], out = this.outputs[l], last = l === this.layers.length - 1;
      let b = 0;
      // Four inputs at a time: each weight is read once for all of them, and their sums do not wait for each other.
      for (; b + 4 <= n; b += 4) {
        const x0 = skip + b * from, x1 = x0 + from, x2 = x1 + from, x3 = x2 + from;
        for (let o = 0, w = weight; o < to; o++) {
          const start = values[bias + o];
          let s0 = start, s1 = start, s2 = start, s3 = start;
          for (let i = 0; i < from; i++, w++) {
            const v = values[w];
            s0 += v * input[x0 + i];
            s1 += v * input[x1 + i];
            s2 += v * input[x2 + i];
            s3 += v * input[x3 + i];
          }
          const at = b * to + o;
          out[at] = last || s0 > 0 ? s0 : 0;
          out[at + to] = last || s1 > 0 ? s1 : 0;
          out[at + 2 * to] = last || s2 > 0 ? s2 : 0;
          out[at + 3 * to] = last || s3 > 0 ? s3 : 0;
        }
      }
      for (; b < n; b++) {
        const x0 = skip + b * from;
        for (let o = 0, w = weight; o < to; o++) {
          let sum = values[bias + o];
          for (let i = 0; i < from; i++, w++) sum += values[w] * input[x0 + i];
          out[b * to + o] = last || sum > 0 ? sum : 0;
        }
      }
      input = out;
      skip = 0;
    }
    return input;
  }

  /** Make room for gradients and the optimiser's memory; a network that only predicts does without. */
  prepare() {
    this.gradient = new Float64Array(this.count);
    this.first = new Float64Array(this.count);
    this.second = new Float64Array(this.count);
    this.deltas = this.sizes.slice(1).map((size) => new Float64Array(size * this.most));
    this.updates = 0;
    return this;
  }

  /** Fill `gradient` from the gradient on the logits, which stands in the last of `deltas`; follows forward(x, n). */
  backward(x, n) {
    const { values, gradient } = this;
    for (let l = this.layers.length - 1; l >= 0; l--) {
      const { from, to, weight, bias } = this.layers[l], delta = this.deltas[l];
      const input = l ? this.outputs[l - 1] : x, below = l ? this.deltas[l - 1] : null;
      gradient.fill(0, weight, bias + to);
      if (below) below.fill(0, 0, n * from);
      let b = 0;
      for (; b + 4 <= n; b += 4) { // four inputs at a time here too
        const x0 = b * from, x1 = x0 + from, x2 = x1 + from, x3 = x2 + from;
        for (let o = 0, w = weight; o < to; o++, w += from) {
          const at = b * to + o, d0 = delta[at], d1 = delta[at + to], d2 = delta[at + 2 * to], d3 = delta[at + 3 * to];
          if (d0 === 0 && d1 === 0 && d2 === 0 && d3 === 0) continue; // half of the units are off
          gradient[bias + o] += d0 + d1 + d2 + d3;
          for (let i = 0; i < from; i++) {
            gradient[w + i] += d0 * input[x0 + i] + d1 * input[x1 + i] + d2 * input[x2 + i] + d3 * input[x3 + i];
          }
          if (!below) continue;
          for (let i = 0; i < from; i++) {
            const v = values[w + i];
            below[x0 + i] += d0 * v;
            below[x1 + i] += d1 * v;
            below[x2 + i] += d2 * v;
            below[x3 + i] += d3 * v;
          }
        }
      }
      for (; b < n; b++) {
        const at = b * from;
        for (let o = 0, w = weight; o < to; o++, w += from) {
          const d = delta[b * to + o];
          if (d === 0) continue;
          gradient[bias + o] += d;
          for (let i = 0; i < from; i++) gradient[w + i] += d * input[at + i];
          if (below) for (let i = 0; i < from; i++) below[at + i] += d * values[w + i];
        }
      }
      if (below) for (let k = 0; k < n * from; k++) if (input[k] <= 0) below[k] = 0;
    }
  }

  /** AdamW as in PyTorch (betas 0.9 and 0.999, eps 1e-8). Only matrices decay, as in the recipes of timm. */
  adamw(rate, decay) {
    const { values, gradient, first, second } = this, n = ++this.updates;
    const fix1 = rate / (1 - 0.9 ** n), fix2 = Math.sqrt(1 - 0.999 ** n), keep = 1 - rate * decay;
    for (const { weight, bias, to } of this.layers) {
      for (let i = weight; i < bias + to; i++) {
        const g = gradient[i], m = first[i] += 0.1 * (g - first[i]), v = second[i] = 0.999 * second[i] + 0.001 * g * g;
        values[i] = (i < bias ? keep : 1) * values[i] - fix1 * m / (Math.sqrt(v) / fix2 + 1e-8);
      }
    }
  }

  /** Plain gradient descent, equation 6, with the same decay. */
  sgd(rate, decay) {
    const { values, gradient } = this, keep = 1 - rate * decay;
    for (const { weight, bias, to } of this.layers) {
      for (let i = weight; i < bias; i++) values[i] = keep * values[i] - rate * gradient[i];
      for (let i = bias; i < bias + to; i++) values[i] -= rate * gradient[i];
    }
  }
}

/** Write softmax(z / tau) of n rows of K logits into `out`; the largest logit is taken out first (no overflow). */
export function softmax(z, n, K, tau, out) {
  for (let b = 0; b < n; b++) {
    const at = b * K;
    let top = -Infinity, sum = 0;
    for (let k = 0; k < K; k++) if (z[at + k] > top) top = z[at + k];
    for (let k = 0; k < K; k++) sum += out[at + k] = Math.exp((z[at + k] - top) / tau);
    for (let k = 0; k < K; k++) out[at + k] /= sum;
  }
}

/** Log of the sum of exp(z / tau) over one row. */
function logSumExp(z, at, K, tau) {
  let top = -Infinity, sum = 0;
  for (let k = 0; k < K; k++) if (z[at + k] > top) top = z[at + k];
  for (let k = 0; k < K; k++) sum += Math.exp((z[at + k] - top) / tau);
  return top / tau + Math.log(sum);
}

/** A main student, and an auxiliary where there is one: equations 1 to 7.
 *  `start` and `auxStart` are arrays of parameters; without auxStart main learns from labels only. */
export class Pair {
  constructor(sizes, most, start, auxStart) {
    this.main = new Network(sizes, most).prepare();
    this.main.values.set(start);
    this.aux = auxStart ? new Network(sizes, most) : null;
    if (this.aux) this.aux.values.set(auxStart);
    const K = sizes.at(-1);
    this.plain = new Float64Array(K * most);
    this.soft = new Float64Array(K * most);
    this.target = new Float64Array(K * most);
    this.ce = this.kd = this.loss = NaN;
  }

  /** One step on n labelled inputs, in the order of dmws_lite.training.fit: auxiliary, main, loss, update of main,
   *  update of the auxiliary. Of `how` it reads alpha, beta, tau, tauSquared, optimizer and decay. The losses are left in
   *  ce, kd and loss. */
  step(x, labels, n, how, rate) {
    const { main, aux } = this, K = main.sizes.at(-1), delta = main.deltas.at(-1);
    const { tau } = how, alpha = aux ? how.alpha : 1, factor = how.tauSquared ? tau * tau : 1;
    // No gradient goes to the auxiliary.
    const zAux = aux ? aux.forward(x, n) : null;
    if (aux) softmax(zAux, n, K, tau, this.target);
    const z = main.forward(x, n);
    softmax(z, n, K, 1, this.plain);
    if (aux) softmax(z, n, K, tau, this.soft);
    let ce = 0, kd = 0;
    for (let b = 0; b < n; b++) {
      const at = b * K;
      ce += logSumExp(z, at, K, 1) - z[at + labels[b]];
      const apart = aux ? logSumExp(z, at, K, tau) - logSumExp(zAux, at, K, tau) : 0;
      for (let k = 0; k < K; k++) {
        let d = alpha * (this.plain[at + k] - (k === labels[b] ? 1 : 0));
        if (aux) {
          const q = this.target[at + k];
          kd += q * ((zAux[at + k] - z[at + k]) / tau + apart);
          d += ((1 - alpha) * factor * (this.soft[at + k] - q)) / tau;
        }
        delta[at + k] = d / n;
      }
    }
    this.ce = ce / n;
    this.kd = kd / n;
    this.loss = alpha * this.ce + (1 - alpha) * factor * this.kd;
    main.backward(x, n);
    if (how.optimizer === "sgd") main.sgd(rate, how.decay);
    else main.adamw(rate, how.decay);
    if (aux) this.average(how.beta);
  }

  /** Equation 7: the auxiliary keeps beta of itself and takes 1 - beta of main. */
  average(beta) {
    const a = this.aux.values, m = this.main.values;
    for (let i = 0; i < a.length; i++) a[i] += (1 - beta) * (m[i] - a[i]);
  }

  /** Everything that the coming steps depend on, for restore(). */
  copy() {
    const { main, aux, ce, kd, loss } = this, { values, first, second, updates } = main;
    return { values: values.slice(), first: first.slice(), second: second.slice(), updates, aux: aux?.values.slice(), ce, kd, loss };
  }

  restore({ values, first, second, updates, aux, ce, kd, loss }) {
    this.main.values.set(values);
    this.main.first.set(first);
    this.main.second.set(second);
    this.main.updates = updates;
    if (aux) this.aux.values.set(aux);
    Object.assign(this, { ce, kd, loss });
  }

  /** Distance of both students in weight space: the root of the summed squared differences; NaN without auxiliary. */
  distance() {
    if (!this.aux) return NaN;
    const a = this.aux.values, m = this.main.values;
    let sum = 0;
    for (let i = 0; i < a.length; i++) sum += (m[i] - a[i]) ** 2;
    return Math.sqrt(sum);
  }
}

/** Share of n inputs whose largest logit is the labelled class. */
export function accuracy(network, x, labels, n) {
  const K = network.sizes.at(-1);
  let right = 0;
  for (let first = 0; first < n; first += network.most) {
    const rows = Math.min(network.most, n - first), z = network.forward(x, rows, first);
    for (let b = 0; b < rows; b++) {
      let best = 0;
      for (let k = 1; k < K; k++) if (z[b * K + k] > z[b * K + best]) best = k;
      if (best === labels[first + b]) right++;
    }
  }
  return right / n;
}
