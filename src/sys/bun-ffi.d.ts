/** The part of bun:ffi that libc-symbols.bun.ts uses (https://bun.sh/docs/api/ffi), so that Bun's own types need not be installed. */
declare module 'bun:ffi' {
  type Type = 'i32' | 'u32' | 'usize' | 'i64_fast' | 'ptr' | 'cstring';
  interface Signature {
    readonly args: readonly Type[];
    readonly returns: Type;
  }
  /** A typed array for `ptr` is passed by address, and kept alive until the call returns. */
  type Argument = number | bigint | NodeJS.TypedArray | null;

  export function dlopen<const S extends Record<string, Signature>>(
    name: string,
    signatures: S,
  ): { symbols: { [K in keyof S]: (...args: Argument[]) => S[K]['returns'] extends 'cstring' ? string : number } };

  /** The address of a typed array's first byte. It stays where it is as long as the array is alive. */
  export function ptr(array: NodeJS.TypedArray): number;

  export const read: { i32(pointer: number, offset: number): number };
}
