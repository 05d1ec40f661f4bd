import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'
import {
  installedPackages,
  judgeDependencies,
  type ListedPackage,
  type LockedPackage,
  type Lockfile,
  listedPackages,
  tableRow,
} from '../scripts/dependency-list.mjs'

const read = (path: string) => readFileSync(fileURLToPath(new URL(`../${path}`, import.meta.url)), 'utf8')
const PAGE = read('docs/decisions/0001-runtime-dependencies.md')

/** The real lockfile and the real list: each test changes one thing. */
const lockfile = (): Lockfile => JSON.parse(read('package-lock.json'))
const listed = (): ListedPackage[] => listedPackages(PAGE)
const bundled = () => listed().flatMap(({ name, how }) => (how === 'bundled' ? [`node_modules/${name}`] : []))

function problemsOf(change: {
  lock?: (packages: Record<string, LockedPackage>) => void
  list?: (rows: ListedPackage[]) => ListedPackage[]
  bundle?: (paths: string[]) => string[]
}): string[] {
  const lock = lockfile()
  change.lock?.(lock.packages)
  const rows = change.list?.(listed()) ?? listed()
  const paths = change.bundle?.(bundled()) ?? bundled()
  return judgeDependencies({ lockfile: lock, listed: rows, bundled: paths }).problems
}

const OAUTH = 'node_modules/oauth4webapi'
const integrity = `sha512-${'A'.repeat(86)}==`
const having = (path: string, members: LockedPackage) => (packages: Record<string, LockedPackage>) =>
  void Object.assign(packages[path]!, members)
const inRow = (change: Partial<ListedPackage>) => (rows: ListedPackage[]) =>
  rows.map((row) => (row.name === 'oauth4webapi' ? { ...row, ...change } : row))

test('the packages that users run are the listed ones', () => {
  expect(problemsOf({})).toEqual([])
  expect(listed().filter(({ how }) => how === 'installed').length).toBeGreaterThanOrEqual(2)
})

describe('the check fails on', () => {
  test.each<[string, Parameters<typeof problemsOf>[0], RegExp]>([
    [
      'another version',
      { lock: having(OAUTH, { version: '3.8.9' }) },
      /^oauth4webapi is listed with the version .*, and installed is 3\.8\.9/,
    ],
    [
      'other content under the same version',
      { lock: having(OAUTH, { integrity }) },
      /^oauth4webapi .* is listed with another integrity/,
    ],
    [
      'a package without an integrity',
      { lock: (all) => void delete all[OAUTH]!.integrity },
      /^oauth4webapi .* has no SHA-512 integrity/,
    ],
    [
      'an install script',
      { lock: having(OAUTH, { hasInstallScript: true }) },
      /^oauth4webapi .* has an install script/,
    ],
    [
      'an install script of what is bundled',
      { lock: having('node_modules/zod', { hasInstallScript: true }) },
      /^zod .* has an install script/,
    ],
    [
      'a dependency that nobody looked at',
      {
        lock(all) {
          all['']!.dependencies!.evil = '^1.0.0'
          all['node_modules/evil'] = { version: '1.0.0', integrity }
        },
      },
      /^evil 1\.0\.0 is installed, but not listed\. Look at it, and add: \| `evil` \| 1\.0\.0 \| installed \|/,
    ],
    [
      'one that a dependency brings, whatever flags the lockfile gives it',
      {
        lock(all) {
          all[OAUTH]!.dependencies = { evil: '^1.0.0' }
          all['node_modules/evil'] = { version: '1.0.0', integrity, ...{ dev: true, optional: true } }
        },
      },
      /^evil 1\.0\.0 is installed, but not listed/,
    ],
    [
      'an optional dependency of one',
      {
        lock(all) {
          all[OAUTH]!.optionalDependencies = { evil: '^1.0.0' }
          all[`${OAUTH}/node_modules/evil`] = { version: '1.0.0', integrity }
        },
      },
      /^evil 1\.0\.0 is installed, but not listed/,
    ],
    [
      'a peer that is not optional any more',
      { lock: (all) => void delete all['']!.peerDependenciesMeta!.pg },
      /^pg .* is installed, but not listed/,
    ],
    [
      'a dependency that is not in the lockfile',
      { lock: having(OAUTH, { dependencies: { absent: '^1.0.0' } }) },
      /^absent, which node_modules\/oauth4webapi needs, is not in package-lock\.json/,
    ],
    [
      'a package that the build copies and nobody looked at',
      { bundle: (paths) => [...paths, 'node_modules/undici-types'] },
      /^undici-types .* is bundled, but not listed/,
    ],
    [
      'a row for what is not there any more',
      { bundle: (paths) => paths.slice(1) },
      / is listed as bundled, but is not\.$/,
    ],
    ['a row without a reason', { list: inRow({ why: ' ' }) }, /^oauth4webapi is listed without a reason/],
    ['a row that allows a script', { list: inRow({ script: 'yes' }) }, /^oauth4webapi .* script yes/],
    ['a missing row', { list: (rows) => rows.slice(1) }, / is installed, but not listed/],
    ['a row that stands twice', { list: (rows) => [...rows, rows[0]!] }, / is listed twice/],
    [
      'the address of a registry in the lockfile',
      { lock: having(OAUTH, { resolved: 'https://registry.example/x.tgz' }) },
      /^node_modules\/oauth4webapi has an address/,
    ],
  ])('%s', (_, change, problem) => {
    expect(problemsOf(change)).toContainEqual(expect.stringMatching(problem))
  })
})

test('CI installs without install scripts', () => {
  const installs = read('.ci/run').match(/^.*\bnpm (ci|install)\b.*$/gm)
  expect(installs?.length).toBeGreaterThan(0)
  for (const line of installs!) expect(line).toContain('--ignore-scripts')
})

test('a package is found as Node finds it: the nearest folder first, and each version of it counts', () => {
  const { installed, missing } = installedPackages({
    packages: {
      '': { dependencies: { a: '1', b: '1' } },
      'node_modules/a': { version: '1', dependencies: { '@scope/c': '2' } },
      'node_modules/a/node_modules/@scope/c': { version: '2', dependencies: { b: '1' } },
      'node_modules/b': { version: '1', peerDependencies: { '@scope/c': '1' } },
      'node_modules/@scope/c': { version: '1' },
      'node_modules/unused': { version: '1' },
    },
  })
  expect(missing).toEqual([])
  expect(installed.map(({ name, version }) => `${name}@${version}`).sort()).toEqual([
    '@scope/c@1',
    '@scope/c@2',
    'a@1',
    'b@1',
  ])
})

test('the row that the check prints is one that it reads', () => {
  const row = { ...listed()[0]!, name: '@scope/new' }
  const page = PAGE.replace(tableRow(listed()[0]!), `${tableRow(row)}\n$&`)
  expect(listedPackages(page)).toEqual([row, ...listed()])
})
