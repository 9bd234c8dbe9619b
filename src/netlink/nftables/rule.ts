import { latin1 } from '../../linux/bytes.ts';
import { type Message, NLM_F, type Reply } from '../message.ts';
import { commentData, commentOf } from './comment.ts';
import { attribute, attributes, NFGEN_LENGTH, textOf } from './reader.ts';
import { NFT_MSG, NFTA_DATA, NFTA_EXPR, NFTA_RULE, NFTA_VERDICT } from './types.ts';
import type { NftWriter } from './writer.ts';

/** `add rule`, at the end of the chain. `expressions` writes what it does (expression.ts). */
export function newRule(
  writer: NftWriter,
  family: number,
  table: string,
  chain: string,
  comment: string,
  expressions: () => void,
): Message {
  writer.begin(family);
  writer.text(NFTA_RULE.TABLE, table);
  writer.text(NFTA_RULE.CHAIN, chain);
  const nest = writer.open(NFTA_RULE.EXPRESSIONS);
  expressions();
  writer.close(nest);
  writer.bytes(NFTA_RULE.USERDATA, commentData(comment));
  return { type: NFT_MSG.NEWRULE, flags: NLM_F.CREATE | NLM_F.APPEND, body: writer.end() };
}

/** `delete rule … handle`, or every rule of the chain. */
export function delRule(writer: NftWriter, family: number, table: string, chain: string, handle?: Uint8Array): Message {
  writer.begin(family);
  writer.text(NFTA_RULE.TABLE, table);
  writer.text(NFTA_RULE.CHAIN, chain);
  if (handle) writer.bytes(NFTA_RULE.HANDLE, handle);
  return { type: NFT_MSG.DELRULE, flags: 0, body: writer.end() };
}

/** Asks for the rules of one chain, or of all chains of the table; for NetlinkSocket.dump. */
export function getRules(writer: NftWriter, family: number, table: string, chain?: string): Message {
  writer.begin(family);
  writer.text(NFTA_RULE.TABLE, table);
  if (chain !== undefined) writer.text(NFTA_RULE.CHAIN, chain);
  return { type: NFT_MSG.GETRULE, flags: 0, body: writer.end() };
}

/** Where the rule stands that a reply is about, and its comment. */
export function ruleNameOf(body: Uint8Array): { chain: string; comment: string } {
  const bytes = body.subarray(NFGEN_LENGTH);
  return {
    chain: textOf(attribute(bytes, NFTA_RULE.CHAIN)) ?? '',
    comment: commentOf(attribute(bytes, NFTA_RULE.USERDATA)),
  };
}

/** What identifies a rule, and what it refers to. */
export interface Rule {
  handle: Uint8Array; // 8 bytes, as the kernel wrote them
  comment: string;
  sets: string[]; // that its lookups are in
  jumps: string[]; // chains that it jumps or goes to
}

/** The rule that a reply is about. */
export function ruleOf(body: Uint8Array): Rule {
  const rule: Rule = { handle: new Uint8Array(8), comment: '', sets: [], jumps: [] };
  for (const { type, value } of attributes(body.subarray(NFGEN_LENGTH))) {
    if (type === NFTA_RULE.HANDLE) rule.handle = value;
    else if (type === NFTA_RULE.USERDATA) rule.comment = commentOf(value);
    else if (type === NFTA_RULE.EXPRESSIONS) {
      for (const expression of attributes(value)) readExpression(expression.value, rule);
    }
  }
  return rule;
}

/**
 * Whether one of the rules that a dump gave looks things up in all of these sets. The attribute that names a set is searched for as it is:
 * every ADD asks, and to read a rule of ours means to read some sixty attributes.
 */
export function hasRuleOn(replies: readonly Reply[], ...sets: string[]): boolean {
  return replies.some(({ body }) => {
    const bytes = latin1(body);
    return sets.every((set) => bytes.includes(lookupSet(set)));
  });
}

/** NFTA_LOOKUP_SET with its header, struct nlattr: u16 length, u16 type; a string has its NUL. A character for each byte. */
function lookupSet(set: string): string {
  const length = 4 + set.length + 1;
  return `${String.fromCharCode(length & 255, length >> 8)}\u0001\0${set}\0`;
}

function readExpression(bytes: Uint8Array, rule: Rule): void {
  const name = textOf(attribute(bytes, NFTA_EXPR.NAME));
  if (name === 'lookup') {
    rule.sets.push(textOf(attribute(bytes, NFTA_EXPR.DATA, 1)) ?? ''); // NFTA_LOOKUP_SET
  } else if (name === 'immediate') {
    // NFTA_IMMEDIATE_DATA
    const chain = textOf(attribute(bytes, NFTA_EXPR.DATA, 2, NFTA_DATA.VERDICT, NFTA_VERDICT.CHAIN));
    if (chain !== undefined) rule.jumps.push(chain);
  }
}
