-- Orthanc sends every new CT series to vfx-edge, and tries again for as long as it takes (itself
-- from 1.11.1 on; before, with send_again.py on a timer).
-- The results come back by C-STORE as series of the same study; they are no CT, so nothing loops.
--
-- orthanc.json needs: "LuaScripts" with this file, "LuaHeartBeatPeriod" (seconds between tries),
-- "JobsHistorySize" (failed transfers beyond it are forgotten), and in "DicomModalities"
-- "vfx-edge". See docs/integration.md.

local MODALITY = 'vfx-edge'
local STORE = 'DicomModalityStore'

function OnStableSeries(seriesId, tags, metadata)
   if tags['Modality'] == 'CT' then
      print('vfx-edge: sending series ' .. seriesId)
      -- As a job of its own, not by SendToModality: that one takes single instances in some
      -- versions, and what it fails to send is forgotten.
      local order = { Resources = { seriesId }, Synchronous = false }
      RestApiPost('/modalities/' .. MODALITY .. '/store', DumpJson(order, true))
   end
end

-- A transfer that failed (vfx-edge was stopped, or its disk full) begins anew. Orthanc keeps its
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
