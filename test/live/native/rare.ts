export const rare = () => {
  using thing = { [Symbol.dispose]() {} };
  return typeof thing;
};
