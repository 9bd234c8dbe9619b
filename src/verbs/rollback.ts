import { asCniError, CniError } from '../cni/error.ts';

/** How to undo what was done so far: steps are added as things are done, and run last first. */
export class Rollback {
  readonly #steps: (() => Error[])[] = [];

  /** `step` must not throw for what is gone already; what it returns or throws is reported. */
  push(step: () => Error[]): void {
    this.#steps.push(step);
  }

  /** Runs every step, whatever the others do. Returns what could not be undone. */
  run(): Error[] {
    const errors: Error[] = [];
    for (let step = this.#steps.pop(); step; step = this.#steps.pop()) {
      try {
        errors.push(...step());
      } catch (error) {
        errors.push(asCniError(error));
      }
    }
    return errors;
  }
}

/** The error of a step that failed, with what could not be undone afterwards in its details. */
export function withUndoErrors(thrown: unknown, undoErrors: readonly Error[]): CniError {
  const error = asCniError(thrown);
  if (undoErrors.length === 0) return error;
  const left = undoErrors.map((undoError) => undoError.message).join('; ');
  const details = `${error.details ? `${error.details}; ` : ''}not undone: ${left}; DEL will try again`;
  return new CniError(error.code, error.message, { details, cause: error });
}
