export const isMainThread = true;
