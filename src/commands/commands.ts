import arg from 'arg';
import packageJson from '../../package.json' with { type: 'json' };
import { asCniError } from '../cni/error.ts';
import { supportedVersions } from '../cni/version.ts';
import type { Host } from '../host.ts';

/** What the commands are given, and how they are called. */
export interface CliOptions {
  dataDir?: string | undefined;
  subnet?: string | undefined;
  json?: boolean | undefined;
}

// The second line is the Go library's: some look for it.
const about = `tsbridge ${packageJson.version}: a CNI plugin that connects containers to a bridge and gives them addresses
CNI protocol versions supported: ${supportedVersions.join(', ')}`;

const usage = `${about}

A container runtime runs it with CNI_COMMAND set. For people:

  tsbridge explain [FILE]        what an ADD with this network configuration would do on this host; changes nothing
  tsbridge check-config [FILE]   the configuration with all defaults, or what is wrong with it
  tsbridge status [FILE]         what the network has used up, and whether another pod would find room
  tsbridge leases [NETWORK]      addresses that are taken, and by whom
      --data-dir DIR             where the networks' leases are (ipam.dataDir), by default /var/lib/cni/networks
      --subnet PREFIX            only those in the prefix, and how many are free
      --json                     as JSON
  tsbridge range PREFIX          what a prefix as "subnet" of a range comes to
  tsbridge --version
  tsbridge --help

FILE is a network configuration or a list of them; without it, it is read from stdin.
`;

type Command = (host: Host, operands: string[], options: CliOptions) => Promise<number>;

/** How many operands a command takes at most, and where it is. Loaded when called. */
const commands: Record<string, { operands: number; run: Command }> = {
  explain: {
    operands: 1,
    run: async (host, [file]) => (await import('./explain.ts')).explainCommand(host, file),
  },
  'check-config': {
    operands: 1,
    run: async (host, [file]) => (await import('./check-config.ts')).checkConfigCommand(host, file),
  },
  status: {
    operands: 1,
    run: async (host, [file]) => (await import('./status.ts')).statusCommand(host, file),
  },
  leases: {
    operands: 1,
    run: async (host, [network], options) => (await import('./leases.ts')).leasesCommand(host, network, options),
  },
  range: {
    operands: 1,
    run: async (host, [prefix]) => (await import('./range.ts')).rangeCommand(host, prefix),
  },
};

/**
 * The commands for people: the plugin run without CNI_COMMAND. Without arguments it says on stderr what it is, as the Go plugins do,
 * with status 0. Gives the exit status: 0, 1 when the command fails, 2 when it is not understood.
 */
export async function cli(host: Host): Promise<number> {
  if (host.args.length === 0) {
    host.stderr(`${about}\nTry: CNI_COMMAND=VERSION tsbridge, or tsbridge --help\n`);
    return 0;
  }
  let words: ReturnType<typeof parse>;
  try {
    words = parse(host.args);
  } catch (error) {
    return misunderstood(host, asCniError(error).message);
  }
  const [name, ...operands] = words._;
  if (words['--help'] || name === 'help') {
    host.stdout(usage);
    return 0;
  }
  if (words['--version']) {
    host.stdout(`tsbridge ${packageJson.version}\n`);
    return 0;
  }
  const command = name !== undefined && Object.hasOwn(commands, name) ? commands[name] : undefined;
  if (!command)
    return misunderstood(host, name === undefined ? 'no command' : `unknown command ${JSON.stringify(name)}`);
  if (operands.length > command.operands) return misunderstood(host, `${name} takes one operand at most`);
  const isListing = name === 'leases';
  if (!isListing && (words['--data-dir'] || words['--subnet'] || words['--json'])) {
    return misunderstood(host, `${name} takes no options`);
  }
  try {
    const options = { dataDir: words['--data-dir'], subnet: words['--subnet'], json: words['--json'] };
    return await command.run(host, operands, options);
  } catch (thrown) {
    const error = asCniError(thrown);
    host.stderr(`tsbridge ${name}: ${error.message}\n${error.details === undefined ? '' : `  ${error.details}\n`}`);
    return 1;
  }
}

const parse = (args: readonly string[]) =>
  arg(
    {
      '--help': Boolean,
      '-h': '--help',
      '--version': Boolean,
      '-v': '--version',
      '--data-dir': String,
      '--subnet': String,
      '--json': Boolean,
    },
    { argv: [...args] },
  );

function misunderstood(host: Host, problem: string): number {
  host.stderr(`tsbridge: ${problem}; tsbridge --help says what there is\n`);
  return 2;
}
