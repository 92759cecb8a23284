/* How the book's search ranks, in place of Sphinx's own order. Put into language_data.js by html_search_scorer.

   Sphinx looks for the query as one string in titles and index entries, so that "what is tau" finds nothing, and gives
   all pages with the words in their text the same score. Here words are compared, each by its stem:

     100  an index entry (a term of the glossary, a keyword) that consists of the words asked for
      80  a heading that consists of them; a longer one scores by the share of its words that were asked for
      70  a name in the API reference
       5  text

   Words that only make a question ("what", "how", "can") are left out. Written against Sphinx 7's searchtools.js. */
"use strict";

Object.assign(Scorer, { objNameMatch: 70, objPartialMatch: 6, objPrio: { 0: 0, 1: 0, 2: -5 }, title: 5, partialTitle: 3 });

stopwords.push(
  ..."about any can could did do does explain find get give has have how i me my should than we what when".split(" "),
  ..."where which who why would you your".split(" "),
);

const meaning = (query) => {
  const words = splitQuery(query).filter((word) => !stopwords.includes(word.toLowerCase()));
  return words.length ? words.join(" ") : query;
};

const stemmer = new Stemmer();
const stems = (text) =>
  splitQuery(text.toLowerCase())
    .filter((word) => !stopwords.includes(word))
    .map((word) => stemmer.stemWord(word));

/** Share of a text's words that were asked for; 0 if one of the words asked for is missing. */
const share = (wanted, text) => {
  const own = stems(text);
  const exact = (stem) => own.includes(stem);
  const begun = (stem) => stem.length > 2 && own.some((word) => word.startsWith(stem));
  if (!wanted.length || !wanted.every((stem) => exact(stem) || begun(stem))) return 0;
  return (wanted.length / Math.max(own.length, wanted.length)) * (wanted.every(exact) ? 1 : 0.7);
};

Search._parseQuery = ((parse) => (query) => parse(meaning(query)))(Search._parseQuery);

Search._performSearch = (query, searchTerms, excludedTerms, highlightTerms, objectTerms) => {
  const { docnames, filenames, titles, alltitles, indexentries } = Search._index;
  const wanted = stems(query);
  const found = [];
  const add = (file, id, text, score) => {
    const title = titles[file] === text ? text : `${titles[file]} > ${text}`;
    if (score > 0) found.push([docnames[file], title, id ? `#${id}` : "", null, score, filenames[file]]);
  };
  _removeChildren(document.getElementById("search-progress"));
  for (const [text, places] of Object.entries(alltitles))
    for (const [file, id] of places) add(file, id, text, 80 * share(wanted, text));
  for (const [text, places] of Object.entries(indexentries))
    for (const [file, id, isMain] of places) if (isMain) add(file, id, text, 100 * share(wanted, text));
  for (const term of objectTerms) found.push(...Search.performObjectSearch(term, objectTerms));
  found.push(...Search.performTermsSearch(searchTerms, excludedTerms));

  found.sort(_orderResultsByScoreThenName); // the best last: the list is shown from its end
  const seen = new Set();
  const isNew = ([page, , anchor]) => !seen.has(page + anchor) && seen.add(page + anchor);
  return found.reverse().filter(isNew).reverse();
};
