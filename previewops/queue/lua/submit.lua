-- Submits a batch of jobs, idempotent by id and limited by the backlog. Counts rejected submits by reason.
--
-- ARGV    1 maximum backlog (waiting and delayed jobs)
--         2 arq function name
--         3 submits that the caller rejected since its last call, because they break the contract
--         4 conflicts that the caller found after COMPARE
--         5.. six per job: id, priority, project, body digest, payload as JSON, and '' or a quota as JSON: limit,
--             projects (missing: all)
-- Results three per job: code, state, detail
--         OK         accepted                        waiting      backlog
--         DUPLICATE  the same job exists             its state    when it ended in server ms, or ''
--         CONFLICT   the id has another body         its state, or 'in another queue'   as above
--         COMPARE    body of a stock arq client      its state    that body, for the caller to compare
--         FULL       rejected                        ''           backlog
--         QUOTA      rejected                        ''           pending jobs of the quota's projects
-- Transitions new -> waiting
--
-- @include submit_jobs

submit_jobs(6)
flush_counters()
return reply
