import { describe, expect, test } from 'vitest'
import {
  coversScope,
  grantedScope,
  initialScope,
  scopeValues,
  unionScope,
  withoutOfflineAccess,
} from './scope.ts'

describe('initialScope', () => {
  const all = { configured: 'conf', challenge: 'chal', resource: ['prm:a', 'prm:b'], offlineAccess: false }

  test.each([
    ['[SCOPE-08] configured before all else', all, 'conf'],
    ['[SCOPE-01] then the challenge', { ...all, configured: undefined }, 'chal'],
    [
      '[SCOPE-01] then all of the resource metadata',
      { ...all, configured: undefined, challenge: undefined },
      'prm:a prm:b',
    ],
    [
      '[SCOPE-07] an empty list counts as none',
      { ...all, configured: undefined, challenge: '', resource: [] },
      undefined,
    ],
    [
      '[SCOPE-01] no parameter at all',
      { ...all, configured: undefined, challenge: undefined, resource: undefined },
      undefined,
    ],
    ['offline_access is added', { ...all, offlineAccess: true }, 'conf offline_access'],
    [
      'but only once',
      { ...all, configured: 'offline_access conf', offlineAccess: true },
      'offline_access conf',
    ],
  ])('%s', (_what, sources, expected) => {
    expect(initialScope(sources)).toBe(expected)
  })
})

describe('scope strings', () => {
  test('values stand once, in order', () => {
    expect(scopeValues(' b  a b\tc ')).toEqual(['b', 'a', 'c'])
    expect(scopeValues(undefined)).toEqual([])
  })

  test('a union has no empty string', () => {
    expect(unionScope('a b', undefined, 'b c')).toBe('a b c')
    expect(unionScope('', undefined)).toBeUndefined()
  })

  test('commas separate what GitHub and Slack granted', () => {
    expect(grantedScope('repo,read:user')).toBe('repo read:user')
    expect(grantedScope('repo, read:user')).toBe('repo read:user')
  })

  test.each([
    ['a b', 'b', true],
    ['a b', undefined, true],
    [undefined, undefined, true],
    [undefined, 'a', false],
    ['ab', 'a', false],
  ])('%j covers %j: %j', (scope, asked, expected) => {
    expect(coversScope(scope, asked)).toBe(expected)
  })

  test('offline_access is taken out whole', () => {
    expect(withoutOfflineAccess('a offline_access b:offline_access')).toBe('a b:offline_access')
    expect(withoutOfflineAccess('offline_access')).toBeUndefined()
  })
})
