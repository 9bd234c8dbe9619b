import type { AddressInfo } from 'node:net';
import t from 'tap';
import { Metrics } from '../../../src/agent/metrics.ts';
import { problems } from '../../../src/agent/problem.ts';
import { serve } from '../../../src/agent/server.ts';

t.test('health, readiness and metrics, on this machine alone', async (t) => {
  let sick = '';
  let unready = 'not yet';
  const metrics = new Metrics(
    () => 1500,
    () => unready === '',
  );
  const server = await serve(0, {
    sick: () => sick,
    unready: () => unready,
    metrics: () => metrics.registry.metrics(),
  });
  t.teardown(() => server.close());
  const { address, port } = server.address() as AddressInfo;
  t.equal(address, '127.0.0.1');
  const get = async (path: string, init?: RequestInit) => {
    const response = await fetch(`http://127.0.0.1:${port}${path}`, init);
    return [response.status, await response.text()];
  };
  t.strictSame(await get('/healthz'), [200, 'ok\n']);
  t.strictSame(await get('/readyz'), [503, 'not yet\n']);
  unready = '';
  sick = 'hangs';
  t.strictSame(await get('/readyz?verbose'), [200, 'ok\n']);
  t.strictSame(await get('/healthz'), [503, 'hangs\n']);
  t.match(await get('/'), [404, /^\/healthz\n\/readyz\n\/metrics\n$/]);
  t.match(await get('/readyz', { method: 'POST' }), [404]);

  metrics.setProblems([{ problem: 'no-range' }, { problem: 'no-range' }]);
  metrics.setRoutes({ direct: { 4: 3, 6: 0 }, vxlan: { 4: 1, 6: 0 } });
  const [status, text] = (await get('/metrics')) as [number, string];
  t.equal(status, 200);
  for (const line of [
    'tsbridge_agent_routes{mode="direct",family="4"} 3',
    'tsbridge_agent_node_problems{problem="no-range"} 2',
    'tsbridge_agent_last_event_age_seconds 1.5',
    'tsbridge_agent_ready 1',
    'tsbridge_agent_errors_total{in="api"} 0',
  ]) {
    t.ok(text.includes(`\n${line}\n`), line);
  }
  for (const problem of Object.keys(problems))
    t.ok(text.includes(`problem="${problem}"`), `${problem} is always there`);
  await t.rejects(serve(port, { sick: () => '', unready: () => '', metrics: async () => '' }), { code: 'EADDRINUSE' });
});
