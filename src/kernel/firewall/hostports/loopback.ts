import { CniError, code } from '../../../cni/error.ts';
import { errnoName } from '../../../linux/errno.ts';
import type { Neighbourhood } from '../port.ts';

const keyOf = (dev: string) => `net/ipv4/conf/${dev}/route_localnet`;

/**
 * Connections from 127.0.0.1 leave through another interface than lo only where its route_localnet is on. The same switch lets neighbours on that interface talk to
 * what listens on 127.0.0.1 alone (CVE-2020-8558), so the set `loopback` has the interfaces on which it was switched on here, and what comes in from
 * them for 127.0.0.0/8 is dropped, as the kernel does without it. What was on before is somebody else's, and stays as it is.
 *
 * Without a lock: an ADD switches on after its transaction, a DEL off before the one that removes the set. One of the two transactions comes first. If it is the
 * ADD's, the DEL's is refused, for it names the generation that was read, and the DEL switches on again; if it is the DEL's, the ADD switches on afterwards.
 */
export class Loopback {
  private readonly sysctls: Pick<Neighbourhood, 'readSysctl' | 'setSysctl'>;
  private dev = '';
  private switchedOff: string[] = [];
  /** Whether the set is to have the interface. */
  isOn = false;

  constructor(sysctls: Pick<Neighbourhood, 'readSysctl' | 'setSysctl'>) {
    this.sysctls = sysctls;
  }

  /** Reads the switch, after the set was read. Whether it is ours to switch; `isOurs` when that is known. */
  look(dev: string, isOurs: boolean): boolean {
    this.dev = dev;
    const value = this.sysctls.readSysctl(keyOf(dev));
    this.isOn = isOurs || value === '0';
    return this.isOn;
  }

  /** After the transaction. Throws CniError 100, 104. */
  switchOn(): void {
    if (this.isOn) this.set(this.dev, '1');
  }

  /** Before the transaction that removes the set. What is gone is off. */
  switchOff(devs: readonly string[]): void {
    for (const dev of devs) {
      const result = this.sysctls.setSysctl(keyOf(dev), '0');
      if ('changed' in result && result.changed) this.switchedOff.push(dev);
    }
  }

  /** The transaction was refused, and the ports are no longer the last. */
  switchOnAgain(): void {
    for (const dev of this.switchedOff) this.sysctls.setSysctl(keyOf(dev), '1');
    this.switchedOff = [];
  }

  private set(dev: string, value: string): void {
    const result = this.sysctls.setSysctl(keyOf(dev), value);
    if (!('errno' in result)) return;
    throw new CniError(code.kernel, `cannot set net.ipv4.conf.${dev}.route_localnet: ${errnoName(result.errno)}`, {
      details: 'host ports need it for connections to 127.0.0.1; "snat": false does without them',
    });
  }
}
