import { ConfigInvalidError } from '../errors/index.ts'

/** A table's name, quoted where it stands in SQL. */
export interface TableNames {
  readonly records: string
  readonly locks: string
}

/** @throws `config_invalid` for anything but plain lower-case names: what is quoted differently would be another table */
export function tableNames(table: string): TableNames {
  const parts = table.split('.')
  if (parts.length > 2 || !parts.every((part) => /^[a-z_][a-z0-9_]{0,50}$/.test(part))) {
    throw new ConfigInvalidError({
      key: 'table',
      message: `${JSON.stringify(table)} cannot be the name of the table.`,
      remedy: 'Take a-z, 0-9 and _, at most 51 of them, with a schema before it if need be: `auth.latchkey`.',
    })
  }
  const quoted = (name: string): string => [...parts.slice(0, -1), name].map((part) => `"${part}"`).join('.')
  const name = parts.at(-1)!
  return { records: quoted(name), locks: quoted(`${name}_locks`) }
}

/**
 * The SQL that makes the tables of a store, for migration tools. It may run again and again; the same as `createTable()`.
 *
 * @throws `config_invalid`
 */
export function postgresSchema(table = 'latchkey_credentials'): string {
  const { records, locks } = tableNames(table)
  const name = table.split('.').at(-1)
  return `CREATE TABLE IF NOT EXISTS ${records} (
  id text COLLATE "C" PRIMARY KEY,
  kind text COLLATE "C" NOT NULL,
  domain text COLLATE "C" NOT NULL,
  account text COLLATE "C" NOT NULL,
  revision text COLLATE "C" NOT NULL,
  key_id text COLLATE "C" NOT NULL,
  data text COLLATE "C" NOT NULL
);
CREATE INDEX IF NOT EXISTS "${name}_by_domain" ON ${records} (kind, domain, account);
CREATE INDEX IF NOT EXISTS "${name}_by_account" ON ${records} (kind, account);
CREATE TABLE IF NOT EXISTS ${locks} (
  id text COLLATE "C" PRIMARY KEY,
  token text COLLATE "C" NOT NULL,
  expires_at timestamptz NOT NULL
);
`
}
