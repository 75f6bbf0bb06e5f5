// Walks through the real SDK as an application would, and prints what came back as one JSON object.
// Arguments: the SDK's folder, the server's address, the anon key, an API key.
const [folder, baseUrl, anonKey, apiKey] = process.argv.slice(2);
const sdk = await import(`${folder}/node_modules/@insforge/sdk/dist/index.mjs`);
const found = {};
const short = ({ data, error, count, status }) => ({ data, count, status, error: error && { ...error, message: error.message, code: error.code } });

async function walk() {
  const client = sdk.createClient({ baseUrl, anonKey });
  const person = { email: `ann${Date.now()}@example.com`, password: "correct horse", name: "Ann" };
  found.config = short(await client.auth.getPublicAuthConfig());
  found.signUp = short(await client.auth.signUp(person));
  found.taken = short(await client.auth.signUp(person));
  found.wrong = short(await client.auth.signInWithPassword({ ...person, password: "wrong" }));
  found.signIn = short(await client.auth.signInWithPassword(person));
  found.user = short(await client.auth.getCurrentUser());
  found.setProfile = short(await client.auth.setProfile({ nickname: "A" }));
  found.getProfile = short(await client.auth.getProfile(found.signUp.data.user.id));

  const notes = () => client.database.from("notes");
  found.insert = short(await notes().insert([{ text: "one" }, { text: "two, (three)" }]).select());
  found.select = short(await notes().select("text", { count: "exact" }).order("id", { ascending: false }).limit(1));
  found.range = short(await notes().select("id,text").gte("id", 1).lte("id", 2).order("id"));
  found.quoted = short(await notes().select("text").eq("text", "two, (three)").single());
  found.either = short(await notes().select("text").or("text.eq.one,text.eq.none"));
  found.update = short(await notes().update({ text: "changed" }).eq("text", "one").select("text"));
  found.upsert = short(await notes().upsert({ id: 1, text: "upserted" }).select("text"));
  found.none = short(await notes().select("text").eq("text", "nothing").maybeSingle());
  found.remove = short(await notes().delete().eq("id", 1));
  found.badTable = short(await client.database.from("nowhere").select("*"));
  found.badColumn = short(await notes().select("nowhere"));
  found.rpc = short(await client.database.rpc("add", { a: 2, b: 3 }));
  found.nothing = short(await client.database.rpc("nothing"));
  found.invoke = short(await client.functions.invoke("db-proxy", { body: { operation: "select", table: "notes", select: "text" } }));
  found.noFunction = short(await client.functions.invoke("nowhere", { body: {} }));
  found.signOut = short(await client.auth.signOut());
  found.asAnon = short(await notes().select("text"));
  found.anonWrites = short(await notes().insert({ text: "not allowed" }));

  if (sdk.createAdminClient) {
    const server = sdk.createClient({ baseUrl, anonKey, isServerMode: true });
    found.serverSignIn = short(await server.auth.signInWithPassword(person));
    const first = found.serverSignIn.data.refreshToken;
    const request = sdk.createClient({ baseUrl, accessToken: found.serverSignIn.data.accessToken });
    found.serverUser = short(await request.auth.getCurrentUser());
    found.refresh = short(await server.auth.refreshSession({ refreshToken: first }));
    // The client renews an expired token by itself, once, and asks again.
    const page = sdk.createClient({ baseUrl, anonKey });
    page.getHttpClient().setAuthToken("old.old.old");
    page.getHttpClient().setRefreshToken(found.refresh.data.refreshToken);
    found.renewed = short(await page.database.from("notes").select("text"));
    found.renewedRoute = short(await page.auth.setProfile({ renewed: true }));
    found.replay = short(await server.auth.refreshSession({ refreshToken: first }));
    const admin = sdk.createAdminClient({ baseUrl, apiKey });
    found.admin = short(await admin.database.from("notes").select("text"));
  }
}

walk().then(() => console.log(JSON.stringify(found)), (error) => { console.log(JSON.stringify(found)); console.error(error); process.exit(1); });
