/** Stands for what a package needs for a use of it that is not ours, as pino its own files and threads. */
module.exports = function unused() {
  throw new Error('this part of a package is not in this executable');
};
