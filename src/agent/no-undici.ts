// What stands in the bundle in the place of the package undici: the client names two of its classes and a function, for requests that are not
// made with it here (api.ts makes them with node:https). It would be a megabyte of the executable, and part of every agent's memory.

const absent = (): never => {
  throw new Error('undici is not in this program');
};

export class Agent {
  constructor() {
    absent();
  }
}

export class ProxyAgent extends Agent {}

export const fetch = absent;
