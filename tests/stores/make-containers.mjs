// Makes storage containers in Azurite, as its own account: node make-containers.mjs URL NAME...
import { createHmac } from "node:crypto";

const account = "devstoreaccount1";
// The key that Azurite publishes for everybody.
const key = Buffer.from("Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==", "base64");
const version = "2021-12-02";

const [url, ...names] = process.argv.slice(2);
for (const name of names) {
  const date = new Date().toUTCString();
  const headers = `x-ms-date:${date}\nx-ms-version:${version}`;
  const resource = `/${account}/${account}/${name}\nrestype:container`;
  const text = ["PUT", "", "", "", "", "", "", "", "", "", "", "", headers, resource].join("\n");
  const signature = createHmac("sha256", key).update(text, "utf8").digest("base64");
  const made = await fetch(`${url}/${account}/${name}?restype=container`, {
    method: "PUT",
    headers: { "x-ms-date": date, "x-ms-version": version, authorization: `SharedKey ${account}:${signature}` },
  });
  if (!made.ok) throw new Error(`${name}: ${made.status} ${await made.text()}`);
}
