import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'

const src = fileURLToPath(new URL('../src', import.meta.url))

/** What every room may use: words, errors, and what all stores do alike. */
const SHARED = [
  'ports.ts',
  'events.ts',
  'definitions.ts',
  'errors',
  'version.ts',
  'echo.ts',
  'sent-secrets.ts',
]

/** Room → the other rooms and root files it may import (docs/layout.md shows it as a picture). */
const MAY_IMPORT: Record<string, readonly string[]> = {
  errors: [],
  oauth: [],
  flow: ['oauth'],
  credentials: ['flow', 'oauth', 'credential-key.ts', 'sleep.ts', 'turn-queue.ts'],
  'authorized-fetch': ['credentials', 'flow', 'oauth'],
  mcp: ['authorized-fetch', 'credentials', 'oauth', 'config', 'concealed.ts', 'sleep.ts'],
  config: [],
  net: ['sleep.ts'],
  hosts: [],
  node: ['config', 'concealed.ts', 'credential-key.ts', 'record-seal.ts', 'sleep.ts', 'turn-queue.ts'],
  stores: ['credential-key.ts', 'record-seal.ts', 'turn-queue.ts'],
  cli: ['config', 'hosts', 'event-lines.ts', 'latchkey.ts', 'options.ts', 'mcp', 'credentials', 'node.ts'],
}

/** Files at the root: what each may reach for. Only the platform files know concrete parts. */
const ROOT_MAY_IMPORT: Record<string, readonly string[]> = {
  'ports.ts': [],
  'events.ts': [],
  'definitions.ts': [],
  'version.ts': [],
  'credential-key.ts': [],
  'concealed.ts': [],
  'echo.ts': [],
  'sent-secrets.ts': [],
  'sleep.ts': [],
  'turn-queue.ts': [],
  'record-seal.ts': [],
  'keychain-store.ts': ['node', 'stores'],
  'keychain.ts': ['keychain-store.ts', 'node', 'node-platform.ts'],
  'event-lines.ts': [],
  'options.ts': ['config', 'credentials', 'mcp', 'net'],
  'latchkey.ts': ['authorized-fetch', 'config', 'credentials', 'flow', 'options.ts'],
  'public.ts': ['config', 'credentials', 'latchkey.ts', 'mcp', 'options.ts'],
  'web-platform.ts': ['credentials', 'net', 'options.ts'],
  'index.ts': ['config', 'latchkey.ts', 'mcp', 'options.ts', 'public.ts', 'web-platform.ts'],
  'node-platform.ts': ['event-lines.ts', 'keychain-store.ts', 'net', 'node', 'options.ts'],
  'node.ts': ['config', 'latchkey.ts', 'mcp', 'node', 'node-platform.ts', 'options.ts', 'public.ts'],
  'command.ts': ['cli', 'node', 'node-platform.ts'],
  'stored-token.ts': ['credentials', 'node', 'record-seal.ts'],
  'bin.ts': ['cli', 'command.ts', 'stored-token.ts'],
}

/** Type-only imports that say what a room is given without letting it reach for it. */
const MAY_KNOW: Record<string, readonly string[]> = {
  node: ['mcp'],
}

/** Rooms that stand on a platform. */
const PLATFORM = ['node', 'cli']

interface Import {
  readonly from: string
  readonly to: string
  readonly typeOnly: boolean
}

const files = readdirSync(src, { recursive: true, encoding: 'utf8' }).filter(
  (file) => file.endsWith('.ts') && !file.endsWith('.test.ts'),
)

function importsOf(file: string): Import[] {
  const text = readFileSync(join(src, file), 'utf8')
  const found = text.matchAll(
    /(?:^|\n)\s*(import|export)\s+(type\s)?[^'"]*?from\s+'([^']+)'|import\('([^']+)'\)/g,
  )
  return [...found].map(([, , type, named, dynamic]) => {
    const specifier = (named ?? dynamic)!
    const to = specifier.startsWith('.') ? relative(src, resolve(src, dirname(file), specifier)) : specifier
    return { from: file, to, typeOnly: type !== undefined }
  })
}

const imports = files.flatMap(importsOf)
const roomOf = (path: string) => path.split('/')[0]!
const show = (violations: Import[]) => violations.map(({ from, to }) => `${from} → ${to}`)

describe('the rooms of src/', () => {
  test('every folder is a known room', () => {
    const folders = [...new Set(files.filter((file) => file.includes('/')).map(roomOf))].sort()
    expect(folders).toEqual(Object.keys(MAY_IMPORT).sort())
  })

  for (const [room, allowed] of Object.entries(MAY_IMPORT)) {
    test(`${room}/ imports only ${[...SHARED, ...allowed].join(', ')}`, () => {
      const inside = imports.filter(
        ({ from, to }) => roomOf(from) === room && from.includes('/') && !to.startsWith('node:'),
      )
      const violations = inside.filter(({ to, typeOnly }) => {
        const target = roomOf(to)
        if (target === room || SHARED.includes(target) || allowed.includes(target)) return false
        if (typeOnly && MAY_KNOW[room]?.includes(target)) return false
        return files.includes(to)
      })
      expect(show(violations)).toEqual([])
    })
  }

  test('the files at the root reach only for what they are made of', () => {
    const roots = files.filter((file) => !file.includes('/'))
    expect(roots.sort()).toEqual(Object.keys(ROOT_MAY_IMPORT).sort())
    const violations = imports.filter(({ from, to }) => {
      const allowed = ROOT_MAY_IMPORT[from]
      return allowed && files.includes(to) && ![...SHARED, ...allowed].includes(roomOf(to))
    })
    expect(show(violations)).toEqual([])
  })

  test('node:* is named only where a platform is', () => {
    const violations = imports.filter(
      ({ from, to }) => to.startsWith('node:') && from.includes('/') && !PLATFORM.includes(roomOf(from)),
    )
    expect(show(violations)).toEqual([])
  })

  test('the platform-neutral entry reaches no node:* module', () => {
    const reached = new Set<string>()
    const visit = (file: string): void => {
      if (reached.has(file)) return
      reached.add(file)
      for (const { from, to, typeOnly } of imports) if (from === file && !typeOnly) visit(to)
    }
    visit('index.ts')
    expect([...reached].filter((file) => file.startsWith('node:'))).toEqual([])
    expect(reached).toContain('flow/sign-in.ts')
  })

  test('no import goes round in a circle', () => {
    const edges = new Map(
      files.map((file) => [file, imports.filter((i) => i.from === file && !i.typeOnly).map((i) => i.to)]),
    )
    const circles: string[] = []
    const walk = (file: string, path: readonly string[]): void => {
      if (path.includes(file)) {
        circles.push([...path.slice(path.indexOf(file)), file].join(' → '))
        return
      }
      for (const next of edges.get(file) ?? []) if (files.includes(next)) walk(next, [...path, file])
    }
    for (const file of files) walk(file, [])
    expect(circles).toEqual([])
  })

  test('only the platform, and defaults given to it, reads process and Date.now', () => {
    const allowed = ['node', 'node.ts', 'node-platform.ts', 'web-platform.ts', 'bin.ts', 'command.ts']
    const offenders = files
      .filter((file) => !allowed.includes(roomOf(file)))
      .filter((file) => /\bprocess\.[a-z]|\bDate\.now\(/.test(withoutComments(file)))
    expect(offenders).toEqual([])
  })

  // The linter sees `fetch` itself and imports by name (biome.json); this sees the ways around it.
  test('only net/ and node/ reach for the network', () => {
    const reaching =
      /\b(globalThis|window|self|global)\s*(\?\.|\.|\[\s*['"`])\s*(fetch|WebSocket|EventSource|XMLHttpRequest)\b|getBuiltinModule\(['"`](node:)?(https?|http2|net|tls|dgram|dns)\b/
    const offenders = files
      .filter((file) => !['node', 'net'].includes(roomOf(file)))
      .filter((file) => reaching.test(withoutComments(file)))
    expect(offenders).toEqual([])
  })

  test('nothing but the command line prints', () => {
    const offenders = files
      .filter((file) => roomOf(file) !== 'cli')
      .filter((file) => /\bconsole\.\w+\(/.test(withoutComments(file)))
    expect(offenders).toEqual([])
  })

  test('files stay small and have no catch-all names', () => {
    const long = files.filter((file) => readFileSync(join(src, file), 'utf8').split('\n').length > 400)
    const vague = files.filter((file) => /(^|\/)(utils?|helpers?|common|misc)(\.ts|\/)/.test(file))
    expect({ long, vague }).toEqual({ long: [], vague: [] })
  })
})

function withoutComments(file: string): string {
  return readFileSync(join(src, file), 'utf8').replace(/\/\*[\s\S]*?\*\/|\/\/.*$/gm, '')
}
