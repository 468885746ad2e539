// BullMQ doing no-op jobs: node bullmq_peer.js SOCKET throughput|latency|waiting|completed|dead CONCURRENCY JOBS
// The last three leave as many jobs in that state.
// Prints one JSON object. Keeps as many completed jobs as previewops does by default.
const { Queue, Worker, QueueEvents } = require('bullmq');
const Redis = require('ioredis');

const [socket, what, concurrency, jobs] = [process.argv[2], process.argv[3], +process.argv[4], +process.argv[5]];
const connection = { path: socket, maxRetriesPerRequest: null };
const options = { removeOnComplete: { count: 10000 } };
const name = 'bench';

async function add(data) {
  const queue = new Queue(name, { connection });
  for (let i = 0; i < jobs; i += 500) {
    const batch = Array.from({ length: Math.min(500, jobs - i) }, (_, j) => ({
      name: 'render_preview', data: data(`job-${i + j}`), opts: options,
    }));
    await queue.addBulk(batch);
  }
}

// The payload of the other peer's jobs.
const payload = (jobId) => ({
  jobId, projectId: 'bench', requestId: 'bench', dryRun: false, previewRequest: { steps: [], assets: [], audio: {} },
});

async function fill() {
  await add(payload);
  if (what === 'waiting') return console.log('{}');
  await new Promise((resolve) => {
    let ended = 0;
    const worker = new Worker(name, async () => {
      if (what === 'dead') throw new Error('asset picture.jpg: the file does not exist');
    }, { connection, concurrency });
    worker.on(what === 'dead' ? 'failed' : 'completed', () => { if (++ended === jobs) resolve(); });
  });
  console.log('{}');
}

async function throughput() {
  await add((jobId) => ({ jobId }));
  const server = new Redis(connection);
  const serverMs = async () => [...(await server.info('cpu')).matchAll(/^used_cpu_(?:user|sys):([\d.]+)/gm)]
    .reduce((sum, match) => sum + match[1] * 1000, 0);
  const serverBefore = await serverMs();
  const before = process.cpuUsage();
  const seconds = await new Promise((resolve) => {
    let done = 0;
    const started = process.hrtime.bigint();
    const worker = new Worker(name, async () => null, { connection, concurrency });
    worker.on('completed', () => {
      if (++done === jobs) resolve(Number(process.hrtime.bigint() - started) / 1e9);
    });
  });
  const used = process.cpuUsage(before);
  console.log(JSON.stringify({
    perSecond: jobs / seconds, cpuMs: (used.user + used.system) / 1000 / jobs,
    redisMs: (await serverMs() - serverBefore) / jobs,
  }));
}

async function latency() {
  const queue = new Queue(name, { connection });
  let begun;
  const worker = new Worker(name, async () => { begun(process.hrtime.bigint()); }, { connection, concurrency });
  await worker.waitUntilReady();
  const samples = [];
  for (let i = 0; i < jobs; i++) {
    await new Promise((resolve) => setTimeout(resolve, 5));
    const start = new Promise((resolve) => { begun = resolve; });
    const submitted = process.hrtime.bigint();
    await queue.add('render_preview', { jobId: `job-${i}` }, options);
    samples.push(Number((await start) - submitted) / 1e6);
  }
  console.log(JSON.stringify({ ms: samples }));
}

({ throughput, latency }[what] || fill)().then(() => process.exit(0));
