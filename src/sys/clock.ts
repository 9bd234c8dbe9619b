/**
 * Milliseconds since the process began, with fractions; the clock never goes back. What performance.now() is elsewhere: for that, Node
 * loads eleven modules.
 */
export const nowMs = (): number => process.uptime() * 1000;
