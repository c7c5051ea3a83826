-- Orthanc sends every new CT series to vfx-edge, and repeats failed transmissions without a limit
-- (itself from 1.11.1 on; before, with send_again.py on a timer).
-- The results come back by C-STORE as series of the same study; they are no CT, so they are not
-- sent to vfx-edge again.
--
-- orthanc.json needs: "LuaScripts" with this file, "LuaHeartBeatPeriod" (seconds between tries),
-- "JobsHistorySize" (failed transfers beyond it are forgotten), and in "DicomModalities"
-- "vfx-edge". See docs/integration.md.

local MODALITY = 'vfx-edge'
local STORE = 'DicomModalityStore'

function OnStableSeries(seriesId, tags, metadata)
   if tags['Modality'] == 'CT' then
      print('vfx-edge: sending series ' .. seriesId)
      -- As a job, not by SendToModality: that one sends single instances in some versions, and
      -- does not repeat what failed.
      local order = { Resources = { seriesId }, Synchronous = false }
      RestApiPost('/modalities/' .. MODALITY .. '/store', DumpJson(order, true))
   end
end

-- A transfer that failed (vfx-edge was stopped, or its disk full) is repeated. Orthanc keeps its
-- list of jobs when it is restarted. A transfer that was resubmitted is no longer "Failure".
function OnHeartBeat()
   local target = ParseJson(RestApiGet('/modalities/' .. MODALITY .. '/configuration'))
   for _, job in pairs(ParseJson(RestApiGet('/jobs?expand'))) do
      if job['State'] == 'Failure' and job['Type'] == STORE
         and job['Content']['RemoteAet'] == target['AET'] then
         print('vfx-edge: sending again, job ' .. job['ID'])
         RestApiPost('/jobs/' .. job['ID'] .. '/resubmit', '')
      end
   end
end
