import { CniError, code } from './error.ts';

/** Something that is wrong with a configuration, and where: `ipam.ranges[0][0].subnet`. */
export interface Problem {
  path: string;
  message: string;
  details?: string | undefined;
}

/** A configuration that is refused: an error document has the first problem as its message, the others among the details. */
export class InvalidConf extends CniError {
  readonly problems: readonly Problem[];

  constructor(problems: readonly [Problem, ...Problem[]]) {
    const [first, ...others] = problems;
    const also = others.map(({ path, message }) => `also ${path}: ${message}`);
    const details = [first.details, ...also].filter(Boolean).join('; ');
    super(code.invalidNetworkConfig, `${first.path}: ${first.message}`, details === '' ? {} : { details });
    this.problems = problems;
  }
}
