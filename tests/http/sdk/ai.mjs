// The AI part of the real SDK, as an application would use it. Arguments: the SDK's folder, the address, the anon key, a session token.
const [folder, baseUrl, anonKey, token] = process.argv.slice(2);
const sdk = await import(`${folder}/node_modules/@insforge/sdk/dist/index.mjs`);
const found = {};
const asked = { model: "openai/gpt-oss-120b", messages: [{ role: "user", content: "Hi" }] };
const refusal = async (call) => {
  try {
    return { answered: await call() };
  } catch (error) {
    return { error: error.error, statusCode: error.statusCode, message: error.message };
  }
};

async function walk() {
  const client = sdk.createClient({ baseUrl, anonKey, edgeFunctionToken: token, accessToken: token });
  found.completion = await client.ai.chat.completions.create(asked);
  const stream = await client.ai.chat.completions.create({ ...asked, stream: true });
  found.chunks = [];
  for await (const chunk of stream) found.chunks.push(chunk.choices[0]);
  if (client.ai.embeddings) found.embeddings = await client.ai.embeddings.create({ model: asked.model, input: ["a", "b"] });
  found.invalid = await refusal(() => client.ai.chat.completions.create({ ...asked, temperature: 9 }));
  const anonymous = sdk.createClient({ baseUrl, anonKey });
  found.anonymous = await refusal(() => anonymous.ai.chat.completions.create(asked));
  found.anonymousStream = await refusal(() => anonymous.ai.chat.completions.create({ ...asked, stream: true }));
}

walk().then(() => console.log(JSON.stringify(found)), (error) => { console.log(JSON.stringify(found)); console.error(error); process.exit(1); });
