import type { Host } from '../../host.ts';
import schema from './configuration.schema.json' with { type: 'json' };

/** `tsbridge schema`: the JSON Schema of configurations, for editors. It is JSON in any case. */
export async function schemaCommand(host: Host): Promise<number> {
  host.stdout(`${JSON.stringify(schema, null, 2)}\n`);
  return 0;
}
