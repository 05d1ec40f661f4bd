// Whether the packages that users run are the ones that somebody looked at: a judgement of package-lock.json and the table
// in docs/decisions/0001-runtime-dependencies.md, from data alone.

const HEADINGS = ['package', 'version', 'how', 'why', 'install script', 'integrity']

/** The rows of the table with these headings in a Markdown text. */
export function listedPackages(markdown) {
  const lines = markdown.split('\n')
  const first = lines.findIndex((line) => cellsOf(line).join() === HEADINGS.join())
  if (first === -1) throw new Error(`No table with the columns ${HEADINGS.join(', ')}.`)
  const rows = lines.slice(first + 2)
  const end = rows.findIndex((line) => !line.startsWith('|'))
  return rows.slice(0, end === -1 ? undefined : end).map((line) => {
    const [name = '', version = '', how = '', why = '', script = '', integrity = ''] = cellsOf(line)
    return { name, version, how, why, script, integrity }
  })
}

/**
 * What an installation brings: everything that is reached from `dependencies`, by the names and not by the flags of the
 * lockfile, without peers that are optional. By `name@version`.
 */
export function installedPackages({ packages }) {
  const found = new Map()
  const missing = []
  const visit = (from) => {
    for (const [name, isOptional] of neededBy(packages[from])) {
      const path = resolved(packages, from, name)
      if (path === undefined) {
        if (!isOptional)
          missing.push(`${name}, which ${from || 'latchkey'} needs, is not in package-lock.json.`)
      } else if (!found.has(path)) {
        found.set(path, { name, ...packages[path] })
        visit(path)
      }
    }
  }
  visit('')
  return { installed: [...found.values()], missing }
}

/**
 * @param lockfile package-lock.json
 * @param listed rows of the table
 * @param bundled paths (`node_modules/zod`) of the packages whose code is copied into the package
 * @returns `problems`, one sentence each; `rows`, the table as it would have to be
 */
export function judgeDependencies({ lockfile, listed, bundled }) {
  const { packages } = lockfile
  const { installed, missing } = installedPackages(lockfile)
  const copied = bundled.map((path) => ({ name: nameOf(path), ...packages[path] }))
  const shipped = [
    ...installed.map((each) => ({ ...each, how: 'installed' })),
    ...copied.map((each) => ({ ...each, how: 'bundled' })),
  ].sort((a, b) => compare(`${b.how} ${a.name}`, `${a.how} ${b.name}`))
  const problems = [...missing, ...withAddress(packages)]
  const rows = shipped.map((each) => {
    const row = listed.find((other) => other.name === each.name && other.how === each.how)
    problems.push(...flawsOf(each, row))
    return { ...rowOf(each), why: row?.why ?? '' }
  })
  for (const [index, { name, how }] of listed.entries()) {
    const isSame = (other) => other.name === name && other.how === how
    if (!rows.some(isSame)) problems.push(`${name} is listed as ${how}, but is not.`)
    if (listed.findIndex(isSame) !== index) problems.push(`${name} is listed twice.`)
  }
  return { problems, rows }
}

/** A row as it stands in the table. */
export function tableRow({ name, version, how, why, script, integrity }) {
  return `| \`${name}\` | ${version} | ${how} | ${why} | ${script} | \`${integrity}\` |`
}

function flawsOf(each, row) {
  const { name, version, how, integrity, hasInstallScript } = each
  const flaws = []
  if (hasInstallScript) flaws.push(`${name} ${version} has an install script: nothing that users run may.`)
  if (!/^sha512-[\w+/]{86}==$/.test(integrity ?? ''))
    flaws.push(`${name} ${version} has no SHA-512 integrity.`)
  if (!row)
    return [
      ...flaws,
      `${name} ${version} is ${how}, but not listed. Look at it, and add: ${tableRow(rowOf(each))}`,
    ]
  if (row.version !== version)
    flaws.push(`${name} is listed with the version ${row.version}, and ${how} is ${version}.`)
  if (row.integrity !== integrity)
    flaws.push(`${name} ${version} is listed with another integrity than ${integrity}.`)
  if (row.script !== 'none')
    flaws.push(`${name} is listed with the install script ${row.script}, expected none.`)
  if (row.why.length < 10) flaws.push(`${name} is listed without a reason.`)
  return flaws
}

function rowOf({ name, version, how, integrity, hasInstallScript }) {
  return {
    name,
    version,
    how,
    why: '',
    script: hasInstallScript ? 'yes' : 'none',
    integrity: integrity ?? '',
  }
}

/** The lockfile names no registry: each machine uses its own, and the integrity says whether it is the same. */
function withAddress(packages) {
  return Object.entries(packages)
    .filter(([, { resolved: address }]) => address !== undefined)
    .map(([path]) => `${path} has an address (\`resolved\`) in package-lock.json, expected none.`)
}

function neededBy({ dependencies = {}, optionalDependencies = {}, peerDependencies = {}, ...rest }) {
  const { peerDependenciesMeta = {} } = rest
  const peers = Object.keys(peerDependencies).filter((name) => !peerDependenciesMeta[name]?.optional)
  return [
    ...Object.keys(dependencies).map((name) => [name, name in optionalDependencies]),
    ...Object.keys(optionalDependencies).map((name) => [name, true]),
    ...peers.map((name) => [name, false]),
  ]
}

/** As Node looks for it: below the package that needs it, then below each of its parents. */
function resolved(packages, from, name) {
  for (let folder = from; ; folder = folder.slice(0, Math.max(0, folder.lastIndexOf('node_modules/') - 1))) {
    const path = folder === '' ? `node_modules/${name}` : `${folder}/node_modules/${name}`
    if (Object.hasOwn(packages, path)) return path
    if (folder === '') return undefined
  }
}

function nameOf(path) {
  return path.slice(path.lastIndexOf('node_modules/') + 'node_modules/'.length)
}

function cellsOf(line) {
  return line
    .trim()
    .slice(1, -1)
    .split('|')
    .map((cell) => cell.trim().replace(/^`(.*)`$/, '$1'))
}

function compare(a, b) {
  return a < b ? -1 : a > b ? 1 : 0
}
