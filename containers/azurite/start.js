// Starts Azurite with the account of the file that AZURITE_ACCOUNT_FILE names (NAME:KEY), so that the key stands in no argument,
// and makes the containers that the words of CONTAINERS name, because no client of the lab does.
"use strict";
const { spawn } = require("node:child_process");
const { createHmac } = require("node:crypto");
const fs = require("node:fs");
const http = require("node:http");

const account = fs.readFileSync(process.env.AZURITE_ACCOUNT_FILE, "utf8").trim();
const [name, key] = account.split(":");
const containers = (process.env.CONTAINERS || "").split(/\s+/).filter(Boolean);
const triesMax = 300;

const service = spawn(
  process.execPath,
  [
    require.resolve("azurite/dist/src/blob/main.js"),
    ...["--blobHost", "0.0.0.0", "--blobPort", "10000", "--location", "/data"],
    ...["--silent", "--disableTelemetry", "--skipApiVersionCheck", "--disableProductStyleUrl"],
  ],
  { stdio: "inherit", env: { ...process.env, AZURITE_ACCOUNTS: account } },
);
for (const signal of ["SIGTERM", "SIGINT"]) process.on(signal, () => service.kill(signal));
service.on("exit", (code, signal) => process.exit(signal ? 1 : code));

// The request that makes a container, signed with the account's key ("Authorize with Shared Key" of the storage protocol).
function create(container) {
  const date = new Date().toUTCString();
  const version = "2021-08-06";
  const resource = `/${name}/${name}/${container}\nrestype:container`;
  const signed = `PUT\n\n\n\n\n\n\n\n\n\n\n\nx-ms-date:${date}\nx-ms-version:${version}\n${resource}`;
  const signature = createHmac("sha256", Buffer.from(key, "base64")).update(signed).digest("base64");
  return new Promise((resolve, reject) => {
    const request = http.request(
      {
        host: "127.0.0.1",
        port: 10000,
        method: "PUT",
        path: `/${name}/${container}?restype=container`,
        headers: {
          "x-ms-date": date,
          "x-ms-version": version,
          "content-length": 0,
          authorization: `SharedKey ${name}:${signature}`,
        },
      },
      (response) => resolve(response.resume().statusCode),
    );
    request.on("error", reject).end();
  });
}

async function made(container) {
  for (let tries = 0; tries < triesMax; tries += 1) {
    try {
      const status = await create(container);
      // 409: it is there already.
      if (status === 201 || status === 409) return;
      throw new Error(`the container ${container} cannot be made: status ${status}`);
    } catch (error) {
      if (error.code !== "ECONNREFUSED") throw error;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }
  throw new Error("Azurite does not answer");
}

Promise.all(containers.map(made)).catch((error) => {
  console.error(error.message);
  service.kill("SIGTERM");
  process.exitCode = 1;
});
