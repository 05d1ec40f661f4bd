/** Tests that race, kill and stop processes: `test/NAME.test.ts`. */
export const CAMPAIGNS = [
  'refresh-race',
  'kill-campaign',
  'stopped-holder',
  'store-crash',
  'store-lock',
  'fleet-lock',
]
