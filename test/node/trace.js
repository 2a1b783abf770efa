// Collects words and prints them when the process ends.
const words = [];
process.on('exit', () => console.log(words.join(' ')));
module.exports = (word) => words.push(word);
