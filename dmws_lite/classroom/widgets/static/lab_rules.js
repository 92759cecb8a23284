// The index rules of dmws_lite/selection/rules.py, for the distillation lab: equal to Python's to the last index, the
// random ones too, because Python's generator (SHA-512 of the seed text, then the Mersenne Twister) is written out here.

const MASK64 = (1n << 64n) - 1n;

/** The first 64 bits behind the point of the n-th root (2 or 3) of the first `count` primes, which SHA-512 begins with. */
function primeRoots(count, n) {
  const primes = [];
  for (let p = 2; primes.length < count; p++) if (primes.every((q) => p % q)) primes.push(p);
  return primes.map((p) => {
    const target = BigInt(p) << BigInt(64 * n);
    let low = 0n, high = 1n << 72n;
    while (high - low > 1n) {
      const middle = (low + high) >> 1n;
      if (middle ** BigInt(n) <= target) low = middle;
      else high = middle;
    }
    return low & MASK64;
  });
}

let sha512Constants = null;

/** SHA-512 of an array of bytes, as 64 bytes. `crypto.subtle` has it too, but answers later and not on every page. */
function sha512(bytes) {
  const [K, start] = (sha512Constants ??= [primeRoots(80, 3), primeRoots(8, 2)]);
  const length = Math.ceil((bytes.length + 17) / 128) * 128, data = new Uint8Array(length), H = [...start];
  data.set(bytes);
  data[bytes.length] = 0x80;
  new DataView(data.buffer).setUint32(length - 4, bytes.length * 8);
  const turn = (x, n) => ((x >> n) | (x << (64n - n))) & MASK64;
  for (let block = 0; block < length; block += 128) {
    const view = new DataView(data.buffer, block, 128), w = [];
    for (let t = 0; t < 80; t++) {
      if (t < 16) { w.push(view.getBigUint64(8 * t)); continue; }
      const a = w[t - 15], b = w[t - 2];
      const s0 = turn(a, 1n) ^ turn(a, 8n) ^ (a >> 7n), s1 = turn(b, 19n) ^ turn(b, 61n) ^ (b >> 6n);
      w.push((w[t - 16] + s0 + w[t - 7] + s1) & MASK64);
    }
    let [a, b, c, d, e, f, g, h] = H;
    for (let t = 0; t < 80; t++) {
      const mixed = turn(e, 14n) ^ turn(e, 18n) ^ turn(e, 41n);
      const one = h + mixed + ((e & f) ^ (~e & MASK64 & g)) + K[t] + w[t];
      const two = (turn(a, 28n) ^ turn(a, 34n) ^ turn(a, 39n)) + ((a & b) ^ (a & c) ^ (b & c));
      [h, g, f, e, d, c, b, a] = [g, f, e, (d + one) & MASK64, c, b, a, (one + two) & MASK64];
    }
    [a, b, c, d, e, f, g, h].forEach((v, i) => { H[i] = (H[i] + v) & MASK64; });
  }
  const out = new Uint8Array(64), view = new DataView(out.buffer);
  H.forEach((v, i) => view.setBigUint64(8 * i, v));
  return out;
}

/** The Mersenne Twister as `random.Random(text)` starts it; returns a function that gives the next 32 bits. */
function twister(text) {
  const bytes = new TextEncoder().encode(text), whole = Uint8Array.of(...bytes, ...sha512(bytes)), key = [];
  for (let end = whole.length; end > 0; end -= 4) {
    let word = 0;
    for (let i = Math.max(0, end - 4); i < end; i++) word = (word << 8) | whole[i];
    key.push(word >>> 0);
  }
  while (key.length > 1 && key.at(-1) === 0) key.pop();
  const N = 624, mt = new Uint32Array(N);
  mt[0] = 19650218;
  for (let i = 1; i < N; i++) mt[i] = Math.imul(1812433253, mt[i - 1] ^ (mt[i - 1] >>> 30)) + i;
  let i = 1, j = 0;
  const advance = () => { if (++i >= N) { mt[0] = mt[N - 1]; i = 1; } };
  for (let k = Math.max(N, key.length); k; k--) {
    mt[i] = (mt[i] ^ Math.imul(mt[i - 1] ^ (mt[i - 1] >>> 30), 1664525)) + key[j] + j;
    advance();
    j = (j + 1) % key.length;
  }
  for (let k = N - 1; k; k--) {
    mt[i] = (mt[i] ^ Math.imul(mt[i - 1] ^ (mt[i - 1] >>> 30), 1566083941)) - i;
    advance();
  }
  mt[0] = 0x80000000;
  let at = N;
  return () => {
    if (at === N) {
      for (let k = 0; k < N; k++) {
        const y = (mt[k] & 0x80000000) | (mt[(k + 1) % N] & 0x7fffffff);
        mt[k] = mt[(k + 397) % N] ^ (y >>> 1) ^ (y & 1 ? 0x9908b0df : 0);
      }
      at = 0;
    }
    let y = mt[at++];
    y ^= y >>> 11;
    y ^= (y << 7) & 0x9d2c5680;
    y ^= (y << 15) & 0xefc60000;
    return (y ^ (y >>> 18)) >>> 0;
  };
}

/** The numbers 0 .. n - 1 in the order in which `Random(text).shuffle` of Python leaves them. */
function pythonShuffle(n, text) {
  const next = twister(text), order = Array.from({ length: n }, (_, i) => i);
  for (let i = n - 1; i > 0; i--) {
    const bits = 32 - Math.clz32(i + 1);
    let j;
    do j = next() >>> (32 - bits); while (j > i);
    [order[i], order[j]] = [order[j], order[i]];
  }
  return order;
}

const take = (order, { teacher, student, part }) => {
  const start = part === 0 ? 0 : Math.min(student, teacher - student);
  return order.slice(start, start + student);
};
const count = (n) => Array.from({ length: n }, (_, i) => i);
const shuffledAxis = (axis) => take(pythonShuffle(axis.teacher, `${axis.teacher}/${axis.student}/${axis.seed}/${axis.key}`), axis);

/** Rules by their names in Python. An axis is { teacher, student, part, seed, key, scores }. */
const RULES = {
  uniform({ teacher, student, part }) {
    const main = count(student).map((i) => Math.floor((i * teacher) / student));
    if (part === 0) return main;
    if (teacher >= 2 * student) return main.map((i) => i + Math.floor(Math.floor(teacher / student) / 2));
    const free = count(teacher).filter((i) => !main.includes(i)), shared = student - free.length;
    return [...free, ...count(shared).map((i) => main[Math.floor((i * student) / shared)])];
  },
  consecutive: (axis) => take(count(axis.teacher), axis),
  random: shuffledAxis,
  random_inconsistent: shuffledAxis,
  magnitude(axis) {
    const norms = axis.scores.map((score) => Number(score.toExponential(9)));
    return take(count(axis.teacher).sort((a, b) => norms[b] - norms[a] || a - b), axis);
  },
};
export const RULE_NAMES = Object.keys(RULES);

/** Which elements of an axis of `teacher` fill one of `student`: sorted, as dmws_lite.element_indices gives them.
 *  `key` counts for the inconsistent rule only, `scores` for magnitude only. */
export function elementIndices({ teacher, student, rule = "uniform", part = 0, seed = 0, key = "", scores = [] }) {
  if (!RULES[rule]) throw new RangeError(`rule=${rule} is unknown; choose one of ${RULE_NAMES.join(", ")}`);
  const chosen = RULES[rule]({ teacher, student, part, seed, key: rule === "random_inconsistent" ? key : "", scores });
  return chosen.sort((a, b) => a - b);
}
