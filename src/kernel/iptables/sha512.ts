import { sha512 } from '@noble/hashes/sha2.js';
import { hex, utf8 } from '../../linux/bytes.ts';

/** SHA-512 of a text's UTF-8, in hexadecimal: what the reference plugins make names of. Loaded by what is rare only. */
export const sha512Hex = (text: string): string => hex(sha512(utf8(text)));
