const say = require('./trace.js');
let count = 0;
const timer = setTimeout(() => {
  say('fire');
  if (++count < 3) timer.refresh();
}, 5);
