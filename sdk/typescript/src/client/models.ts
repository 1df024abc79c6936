import { z } from 'zod'
import type { Http } from './http.ts'

const models = z.object({
  data: z.array(
    z.object({
      /** a name that ends in `*` stands for all that begin so */
      id: z.string(),
      omium: z.object({
        /** asked in turn */
        targets: z.array(z.object({ provider: z.string(), model: z.string().optional() })),
        /** answered by a program, not by a model */
        scripted: z.boolean(),
        /** US dollars per million tokens */
        price: z.object({ input: z.number(), output: z.number(), version: z.string() }).optional(),
      }),
    }),
  ),
})

/** What the model gateway can be asked. */
export type ModelView = z.infer<typeof models>['data'][number]

export const readModels = async (http: Http): Promise<ModelView[]> =>
  models.parse(await http.json('GET', '/v1/models', { baseUrl: http.models() })).data
