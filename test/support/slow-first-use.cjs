// Loaded before the plugin, in Bun: writes down which of these functions it calls. The first call of each in a process takes 20 to 350
// microseconds, because JavaScriptCore has it in JavaScript, as source, or makes something ready for it; every later one takes one or two.
// What src/sys/array-methods.ts replaces is not among them, and generators cannot be watched.
const { writeFileSync } = require('node:fs');

const used = [];
const watch = (owner, label, names) => {
  for (const name of names) {
    const real = owner[name];
    const full = `${label}${String(name)}`;
    if (typeof real !== 'function') throw new Error(`there is no ${full}`);
    owner[name] = function (...args) {
      if (used.indexOf(full) < 0) used[used.length] = full;
      return Reflect.apply(real, this, args);
    };
  }
};
watch(Array, 'Array.', ['from']);
watch(Array.prototype, 'Array#', ['reduce', 'reduceRight', 'findLast', 'toReversed', 'toSorted']);
watch(Map.prototype, 'Map#', ['keys', 'values', 'entries', 'forEach']);
watch(Set.prototype, 'Set#', ['values', 'forEach']);
watch(String.prototype, 'String#', [
  'localeCompare',
  'normalize',
  'match',
  'matchAll',
  'replace',
  'replaceAll',
  'search',
]);
watch(RegExp.prototype, 'RegExp#', ['exec', 'test']);
watch(Object, 'Object.', ['fromEntries', 'groupBy']);
watch(Promise, 'Promise.', ['all', 'allSettled', 'race', 'any']);
watch(Buffer, 'Buffer.', ['from', 'allocUnsafe']);

const { reallyExit } = process;
process.reallyExit = (status) => {
  writeFileSync(`${__dirname}/used.json`, JSON.stringify(used));
  reallyExit.call(process, status);
};
