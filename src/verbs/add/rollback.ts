import { asCniError, CniError } from '../../cni/error.ts';

/** Undoes one thing; returns, or throws, what could not be undone. `left`: what could not be undone of all that was done after it. */
export type UndoStep = (left: readonly Error[]) => readonly Error[] | Promise<readonly Error[]>;

/** How to undo what was done so far: steps are added as things are done, and run last first. */
export class Rollback {
  private readonly steps: UndoStep[] = [];
  private readonly left: Error[] = [];

  /** `step` must not throw for what is gone already. */
  push(step: UndoStep): void {
    this.steps.push(step);
  }

  /** Runs every step but the first `keep`, whatever the others do. Returns what they could not undo. */
  async run(keep = 0): Promise<Error[]> {
    const before = this.left.length;
    while (this.steps.length > keep) {
      const step = this.steps.pop() as UndoStep;
      try {
        this.left.push(...(await step(this.left)));
      } catch (error) {
        this.left.push(asCniError(error));
      }
    }
    return this.left.slice(before);
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
