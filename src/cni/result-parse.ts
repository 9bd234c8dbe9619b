import { familyOf } from '../ip/address.ts';
import { CniError, code } from './error.ts';
import type { Judge } from './judge.ts';
import type { Result, ResultInterface, ResultIp } from './result.ts';
import { dns, route } from './route.ts';
import {
  address,
  converted,
  foldKeys,
  found,
  integer,
  isObject,
  list,
  object,
  prefix,
  quote,
  type Report,
  readKeys,
  refuse,
  type Schema,
  text,
} from './schema.ts';
import { isSupported, resultFamily, supportedVersions } from './version.ts';

/**
 * A result in the newest shape, from a JSON value of any version: a prevResult, or what an IPAM plugin printed (abbreviated results
 * without `interfaces` included). `cniVersion` is the version of a result that does not say its own; `path` names the value in
 * messages (`prevResult`). Throws CniError 7 that names the key, or 1 for a version that is not spoken.
 */
export function parseResult(value: unknown, cniVersion: string, path: string, judge: Judge): Result {
  const wrong: Report['wrong'] = (where, message, details) => {
    throw new CniError(code.invalidNetworkConfig, `${where}: ${message}`, details === undefined ? {} : { details });
  };
  return parseResultReporting(value, cniVersion, path, {
    wrong,
    refused: (schema, refused, where) => judge(schema, refused, where, wrong),
  });
}

/** The version that a result says it has, or undefined. */
export function resultVersion(value: unknown): string | undefined {
  const version = isObject(value) ? foldKeys(value, ['cniVersion']).cniVersion : undefined;
  return typeof version === 'string' && version !== '' ? version : undefined;
}

/** parseResult, for callers that collect problems. What is wrong is left out of the result. */
export function parseResultReporting(value: unknown, cniVersion: string, path: string, report: Report): Result {
  const empty: Result = { interfaces: [], ips: [], routes: [], dns: {} };
  if (!isObject(value)) {
    report.wrong(path, `expected an object, found ${found(value)}`);
    return empty;
  }
  const version = resultVersion(value) ?? cniVersion;
  if (!isSupported(version)) {
    throw new CniError(code.incompatibleVersion, `${path}.cniVersion: ${quote(version)} is not spoken`, {
      details: `expected one of ${supportedVersions.join(', ')}`,
    });
  }
  return resultFamily(version) === 1 ? parseOld(value, path, report) : parseIps(value, path, report);
}

/** 0.3.0 and later. The `version` of an `ips` entry says what the address says already. */
function parseIps(value: object, path: string, report: Report): Result {
  const { interfaces = [], ips = [], routes = [], dns: names = {} } = readKeys(newShape, value, path, report);
  for (const [i, ip] of ips.entries()) {
    if (ip.interface !== undefined && ip.interface >= interfaces.length) {
      const there = interfaces.length === 0 ? 'there are none' : `there are ${interfaces.length}, counted from 0`;
      report.wrong(`${path}.ips[${i}].interface`, `${ip.interface} is not one of the interfaces; ${there}`);
    }
  }
  return { interfaces, ips, routes, dns: names };
}

const newShape = {
  interfaces: () => list(resultInterface(), 'a list of interfaces'),
  ips: () => list(resultIp(), 'a list of addresses'),
  routes: () => list(route(), 'a list of routes'),
  dns,
};

const resultInterface = (): Schema<ResultInterface> =>
  converted(
    object({
      name: text,
      mac: text,
      mtu: () => integer(0, 0xffff_ffff, 'an MTU'),
      sandbox: text,
      socketPath: text,
      pciID: text,
    }),
    ({ name, mac, mtu, sandbox, socketPath, pciID }) => {
      const made: ResultInterface = { name: name ?? '' };
      if (mac) made.mac = mac.toLowerCase();
      if (mtu) made.mtu = mtu;
      if (sandbox) made.sandbox = sandbox;
      if (socketPath) made.socketPath = socketPath;
      if (pciID) made.pciID = pciID;
      return made;
    },
  );

const addressWithLength = () => prefix('an address; expected one with its prefix length, like 10.1.0.5/16');

const resultIp = (): Schema<ResultIp> =>
  converted(
    object({
      address: addressWithLength,
      gateway: address,
      interface: () => integer(0, 65_535, 'an index into interfaces'),
    }),
    ({ address: ip, gateway, interface: index }) => {
      if (ip === undefined)
        return refuse('has no address; expected one with its prefix length there, like 10.1.0.5/16');
      if (gateway !== undefined && familyOf(ip) !== familyOf(gateway)) {
        return refuse(`address ${ip} and gateway ${gateway} must be of one family`);
      }
      const made: ResultIp = { address: ip };
      if (gateway !== undefined) made.gateway = gateway;
      if (index !== undefined) made.interface = index;
      return made;
    },
  );

/** 0.1.0 and 0.2.0: at most one address of each family, and routes beside it. */
function parseOld(value: object, path: string, report: Report): Result {
  const { ip4, ip6, dns: names = {} } = readKeys(oldShape, value, path, report);
  const result: Result = { interfaces: [], ips: [], routes: [], dns: names };
  for (const half of [ip4, ip6]) {
    if (!half) continue;
    result.ips.push(half.ip);
    result.routes.push(...half.routes);
  }
  return result;
}

const oldHalf = (family: 4 | 6) =>
  converted(
    object({ ip: addressWithLength, gateway: address, routes: () => list(route(), 'a list of routes') }),
    (half) => {
      if (half.ip === undefined) return refuse('has no ip; expected an address with its prefix length there');
      if (familyOf(half.ip) !== family) return refuse(`ip ${half.ip} is not an IPv${family} address`);
      const ip: ResultIp = { address: half.ip };
      if (half.gateway !== undefined) ip.gateway = half.gateway;
      return { ip, routes: half.routes ?? [] };
    },
  );

const oldShape = { ip4: () => oldHalf(4), ip6: () => oldHalf(6), dns };
