import { machine, syscall } from 'tsbridge:native';

// What packages read of Node's `process`.

export const pid = syscall(machine === 'arm64' ? 172 : 39); // getpid(2)
export const versions = { node: '26.0.0' }; // pino chooses by it how it quotes strings
export const hrtime = { bigint: () => 0n }; // for timestamps in nanoseconds, which ours are not
