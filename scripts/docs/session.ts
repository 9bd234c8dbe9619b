import { type ChildProcess, spawn } from 'node:child_process';
import { join } from 'node:path';
import { project } from '../build/bundle.ts';

export interface Printed {
  status: number;
  output: string[]; // lines of stdout and stderr, as they came
}

const limitMs = 60_000;

/**
 * A shell on a throwaway node (scripts/playground) that is given one command after the other; variables and the working directory stay.
 *
 *     using shell = new Session();
 *     const { output } = await shell.run('ip -brief link');
 */
export class Session implements Disposable {
  private readonly shell: ChildProcess;
  private text = '';
  private errors = '';
  private onText: () => void = () => {};
  private count = 0;

  constructor(executable?: string) {
    const chosen = executable === undefined ? {} : { PLAYGROUND_EXECUTABLE: executable };
    const { MAKEFLAGS: _, MAKELEVEL: __, ...env } = process.env;
    this.shell = spawn(join(project, 'scripts/playground'), [], {
      env: { ...env, ...chosen, NO_COLOR: '1', LC_ALL: 'C.UTF-8', COLUMNS: '80' },
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    this.shell.stdin?.on('error', () => {}); // a shell that has ended: `run` says so
    this.shell.stdout?.setEncoding('utf8').on('data', (text: string) => {
      this.text += text;
      this.onText();
    });
    this.shell.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.errors += text;
    });
    this.shell.on('close', () => this.onText());
  }

  /** Runs a command, which may be several lines, and waits for its end. It reads nothing from stdin. Throws when the shell has ended or takes too long. */
  async run(command: string): Promise<Printed> {
    const mark = `--- end of command ${++this.count}`;
    const place = `/run/command-${this.count}`;
    this.text = '';
    const ended = new Promise<void>((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`still running after ${limitMs} ms: ${command}`)), limitMs);
      this.onText = () => {
        const isOver = this.shell.exitCode !== null || this.shell.signalCode !== null;
        if (!isOver && !new RegExp(`${mark}: \\d+\\n`).test(this.text)) return;
        clearTimeout(timer);
        if (isOver) reject(new Error(`the shell ended (${command}):\n${this.text}${this.errors}`));
        else resolve();
      };
      this.onText();
    });
    this.shell.stdin?.write(
      `cat >${place} <<'${mark}'\n${command}\n${mark}\n. ${place} </dev/null 2>&1\nprintf '\\n${mark}: %s\\n' $?\n`,
    );
    await ended;
    const [, output = '', status] =
      new RegExp(`^([^]*?)\\n?${mark}: (\\d+)\\n`.replace('[^]', '[\\s\\S]')).exec(this.text) ?? [];
    return { status: Number(status), output: output === '' ? [] : output.replace(/\n$/, '').split('\n') };
  }

  [Symbol.dispose](): void {
    this.shell.kill('SIGKILL');
  }
}
