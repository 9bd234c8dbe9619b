/** The part of Bun that the project uses, so that Bun's own types need not be installed. */
declare namespace Bun {
  /**
   * What bun:ffi (https://bun.sh/docs/api/ffi) is made of. NB: not in Bun's documentation, but evaluating the module bun:ffi, most of which
   * serves calls from C, takes 0.25 ms. The executable holds the Bun that it was built and tested with.
   */
  namespace FFI {
    type Type = 'i32' | 'u32' | 'usize' | 'i64_fast' | 'ptr' | 'cstring';
    interface Signature {
      readonly args: readonly Type[];
      readonly returns: Type;
    }
    /** A typed array for `ptr` is passed by address, and kept alive until the call returns. */
    type Argument = number | bigint | NodeJS.TypedArray | null;

    /** Unlike bun:ffi's, it returns an error instead of throwing it. */
    function dlopen<const S extends Record<string, Signature>>(
      name: string,
      signatures: S,
    ):
      | { symbols: { [K in keyof S]: (...args: Argument[]) => S[K]['returns'] extends 'cstring' ? string : number } }
      | Error;

    /** The address of a typed array's first byte. It stays where it is as long as the array is alive. */
    function ptr(array: NodeJS.TypedArray): number;

    const read: { i32(pointer: number, offset: number): number };
  }
}
