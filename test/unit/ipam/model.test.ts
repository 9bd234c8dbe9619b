import fc from 'fast-check';
import t from 'tap';
import { histories, live } from '../../support/ipam-model.ts';

t.test('whatever happens to a store, who lives keeps its addresses and nobody else gets them', async (t) => {
  let events = 0;
  await fc.assert(
    fc.asyncProperty(histories(false), async (history) => {
      events += history.length;
      await live(history);
    }),
    { numRuns: 150 },
  );
  t.ok(events > 1000, `${events} events`);
});
