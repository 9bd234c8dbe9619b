/** pino's logger tells of each change of its level, which nobody here listens to. */
export class EventEmitter {
  emit(): boolean {
    return false;
  }
}
