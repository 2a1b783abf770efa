// A cache that is bounded: what was used longest ago goes first.
const PAGES_MAX = 2;
const pages = new Map();

function drop(path) {
  pages.delete(path);
  console.log(`${path} goes`);
}

function put(path, text) {
  pages.delete(path);
  pages.set(path, text);
  if (pages.size > PAGES_MAX) drop(pages.keys().next().value);
}

function show(path) {
  const text = pages.get(path);
  if (text === undefined) return console.log(`${path}: not there`);
  pages.delete(path); // now it was used last
  pages.set(path, text);
  console.log(`${path}: ${text}`);
}

put('/', 'welcome');
put('/news', 'it rains');
show('/');
put('/about', 'who we are');
show('/news');
show('/about');
for (const path of pages.keys()) drop(path);
