// Uploads pictures, follows the job and plays its animation. The page has no token: it uses links that expire.

import { placeholderUrl } from "./thumbhash.js";

const element = (id) => document.getElementById(id);

async function request(url, options) {
  const response = await fetch(url, options);
  const body = await response.json();
  if (!response.ok) {
    throw new Error(body.detail ?? body.error ?? response.statusText);
  }
  return body;
}

async function upload(file, url) {
  const asset = await request(url, {
    method: "POST",
    headers: { "Content-Type": file.type || "application/octet-stream" },
    body: file,
  });
  return asset.uri;
}

// Resolves with the job when it has ended. The browser reconnects by itself.
function follow(url, onProgress) {
  return new Promise((resolve, reject) => {
    const events = new EventSource(url);
    events.addEventListener("progress", (event) => onProgress(JSON.parse(event.data)));
    events.addEventListener("end", (event) => {
      events.close();
      resolve(JSON.parse(event.data));
    });
    events.addEventListener("gone", () => {
      events.close();
      reject(new Error("the job was deleted"));
    });
  });
}

// Shows the placeholder until the poster has loaded, which covers it. Links are relative to the API, unless
// PREVIEW_API_URL is set.
async function show(job, api) {
  const link = (start) => {
    const [, url] = Object.entries(job.links.files).find(([name]) => name.startsWith(start));
    return new URL(url, api);
  };
  const video = element("video");
  const { poster } = await request(link("preview.json"));
  video.style.backgroundImage = `url(${placeholderUrl(poster.thumbhash)})`;
  video.poster = link("poster.");
  video.src = link("animation.");
  video.hidden = false;
}

async function makePreview(title, pictures) {
  const { url } = await request("upload-link", { method: "POST" });
  const uris = [];
  for (const [index, picture] of pictures.entries()) {
    element("state").textContent = `Uploading ${index + 1} of ${pictures.length}`;
    uris.push(await upload(picture, url));
  }
  const { links } = await request("previews", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ title, uris }),
  });
  const job = await follow(links.events, (progress) => {
    element("progress").value = progress.progress;
    element("state").textContent = `${progress.status} ${progress.phase ?? ""}`;
  });
  if (job.status !== "completed") {
    throw new Error(job.failedReason ?? job.status);
  }
  await show(job, links.events);
}

element("form").addEventListener("submit", async (event) => {
  event.preventDefault();
  element("start").disabled = true;
  element("progress").hidden = false;
  try {
    await makePreview(element("title").value, [...element("files").files]);
    element("progress").value = 1;
    element("state").textContent = "Done";
  } catch (error) {
    element("state").textContent = `Failed: ${error.message}`;
  } finally {
    element("start").disabled = false;
  }
});
