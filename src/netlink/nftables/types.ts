/** Numbers of the nf_tables protocol. From linux/netfilter/nf_tables.h, linux/netfilter/nfnetlink.h and linux/netfilter.h. */

/** Families. NFPROTO_* */
export const NFPROTO = { UNSPEC: 0, INET: 1, IPV4: 2, BRIDGE: 7, IPV6: 10 } as const;

/** Protocols that have ports, by the names that nft has for them. IPPROTO_* of linux/in.h */
export const IPPROTO = { tcp: 6, udp: 17, sctp: 132 } as const;

/** NFNL_SUBSYS_NFTABLES. */
export const SUBSYS = 10;

/** Message types, with the subsystem in the upper byte; the two around a batch have none. */
export const NFT_MSG = {
  BATCH_BEGIN: 0x10,
  BATCH_END: 0x11,
  NEWTABLE: 0xa00,
  GETTABLE: 0xa01,
  DELTABLE: 0xa02,
  NEWCHAIN: 0xa03,
  GETCHAIN: 0xa04,
  DELCHAIN: 0xa05,
  NEWRULE: 0xa06,
  GETRULE: 0xa07,
  DELRULE: 0xa08,
  NEWSET: 0xa09,
  GETSET: 0xa0a,
  DELSET: 0xa0b,
  NEWSETELEM: 0xa0c,
  GETSETELEM: 0xa0d,
  DELSETELEM: 0xa0e,
  GETGEN: 0xa10,
  TRACE: 0xa11,
} as const;

/** A group of nfnetlink: what rules do to packets that are traced. NFNLGRP_NFTRACE, linux/netfilter/nfnetlink.h */
export const GROUP_TRACE = 9;

/** NFT_TABLE_F_* */
export const TABLE_FLAG = { DORMANT: 1, OWNER: 2 } as const;
export const NFTA_TABLE = { NAME: 1, FLAGS: 2, USE: 3, USERDATA: 6 } as const;
export const NFTA_CHAIN = { TABLE: 1, NAME: 3, HOOK: 4, POLICY: 5, USE: 6, TYPE: 7 } as const;
export const NFTA_HOOK = { HOOKNUM: 1, PRIORITY: 2 } as const;
export const NFTA_RULE = { TABLE: 1, CHAIN: 2, HANDLE: 3, EXPRESSIONS: 4, USERDATA: 7 } as const;
export const NFTA_SET = {
  TABLE: 1,
  NAME: 2,
  FLAGS: 3,
  KEY_TYPE: 4,
  KEY_LEN: 5,
  DATA_TYPE: 6,
  DATA_LEN: 7,
  DESC: 9,
  ID: 10,
  USERDATA: 13,
  EXPR: 17,
} as const;
export const NFTA_SET_ELEM_LIST = { TABLE: 1, SET: 2, ELEMENTS: 3, SET_ID: 4 } as const;
export const NFTA_SET_ELEM = { KEY: 1, DATA: 2, FLAGS: 3, USERDATA: 6 } as const;
export const NFTA_DATA = { VALUE: 1, VERDICT: 2 } as const;
export const NFTA_VERDICT = { CODE: 1, CHAIN: 2 } as const;
export const NFTA_GEN = { ID: 1 } as const;
/** NFNL_BATCH_GENID: the batch is refused (ERESTART) when the rule set's generation is another. */
export const NFNL_BATCH_GENID = 1;
export const NFTA_LIST_ELEM = 1;
export const NFTA_EXPR = { NAME: 1, DATA: 2 } as const;

/** Set flags. NFT_SET_* */
export const SET_INTERVAL = 4;
export const SET_MAP = 8;
/** NFT_DATA_VERDICT: what a map leads to is a verdict. */
export const DATA_VERDICT = 0xffffff00;
/** Element flags. NFT_SET_ELEM_INTERVAL_END */
export const ELEM_INTERVAL_END = 1;
/** Verdicts: NF_DROP and NF_ACCEPT of linux/netfilter.h, NFT_JUMP and NFT_GOTO as unsigned numbers. */
export const VERDICT = { DROP: 0, ACCEPT: 1, JUMP: 0xfffffffd, GOTO: 0xfffffffc } as const;
