import { describe, expect, it } from 'vitest'
import { scriptedGateway } from './testing.ts'

const at = '2026-01-01T00:00:00.000Z'
const erasure = {
  id: 'era_1',
  status: 'erasing',
  requestedBy: 'user:u',
  requestedAt: at,
  memberships: 1,
  invitations: 2,
}

describe('omium privacy', () => {
  const { answers, asked, lines, omium, run } = scriptedGateway()

  it.each([
    ['usr_1', { userId: 'usr_1' }],
    ['ada@example.com', { email: 'ada@example.com' }],
  ])('erase %s asks this tenant to forget', async (subject, body) => {
    answers['POST /v1/privacy/erasures'] = { id: 'era_1', position: '0:1', deduplicated: false }
    answers['GET /v1/privacy/erasures/era_1'] = erasure
    expect(await omium('privacy', 'erase', subject)).toBe(0)
    expect(asked[0]?.body).toEqual(body)
    expect(lines.out).toEqual(['era_1 erasing: 1 membership(s) and 2 invitation(s) ended'])
    expect(await omium('privacy', 'erase', subject, '--json')).toBe(0)
    expect(JSON.parse(lines.out[0] ?? '')).toEqual(erasure)
  })

  it('show says what became of an erasure', async () => {
    answers['GET /v1/privacy/erasures/era_1'] = { ...erasure, status: 'completed', completedAt: at }
    expect(await omium('privacy', 'show', 'era_1')).toBe(0)
    expect(JSON.parse(lines.out[0] ?? '')).toMatchObject({ status: 'completed', completedAt: at })
    expect(await omium('privacy', 'show', 'era_2')).toBe(4)
  })

  it('export prints what the platform holds, as it came', async () => {
    const data = { userId: 'usr_1', email: 'ada@example.com', sessions: [] }
    answers['GET /v1/me/data'] = data
    expect(await omium('privacy', 'export')).toBe(0)
    expect(JSON.parse(lines.out[0] ?? '')).toEqual(data)
  })

  it('rotate is for operators: without the settings of an installation nothing happens', async () => {
    expect(await run(['privacy', 'rotate'], { env: { OMIUM_HOME: '/nowhere' } })).toBe(2)
    expect(lines.out).toEqual([])
    expect(asked).toEqual([])
  })
})
