// What OHIF's own libraries read out of sr.dcm and seg.dcm, as JSON:
// node ohif_reads.mjs <node_modules> sr.dcm seg.dcm planes.json answer.json
import fs from 'node:fs';
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';

const [modules, report, segmentation, planesFile, answer] = process.argv.slice(2);
// the packages lie where the tests put them, not beside this file
const require = createRequire(pathToFileURL(`${modules}/any.js`));
const load = async (name) => import(pathToFileURL(require.resolve(name)).href);
const dcmjs = (await load('dcmjs')).default;
const { adaptersSR, adaptersSEG } = await load('@cornerstonejs/adapters');

const bytes = (path) => {
  const file = fs.readFileSync(path);
  return file.buffer.slice(file.byteOffset, file.byteOffset + file.length);
};
const { DicomMessage, DicomMetaDictionary } = dcmjs.data;
const dataset = DicomMetaDictionary.naturalizeDataset(DicomMessage.readFile(bytes(report)).dict);
const { MeasurementReport } = adaptersSR.Cornerstone3D;
const tools = MeasurementReport.generateToolState(dataset, {}, { get: () => ({}) });
const code = (item) => item?.[0]?.CodeMeaning ?? item?.CodeMeaning;
const measurements = Object.values(tools).flat().map((found) => ({
  finding: code(found.finding),
  site: code(found.findingSites?.[0]),
  place: found.annotation.data.handles.points[0],
}));

const planes = JSON.parse(fs.readFileSync(planesFile));
const ids = planes.map((p) => `x:/instances/${p.SOPInstanceUID}/frames/${p.frame}`);
const provider = {
  get(kind, id) {
    const plane = planes[ids.indexOf(id)];
    if (!plane) return undefined;
    const { ImageOrientationPatient: directions, PixelSpacing: spacing } = plane;
    return {
      instance: plane,
      generalImageModule: { sopInstanceUID: plane.SOPInstanceUID },
      sopCommonModule: { sopInstanceUID: plane.SOPInstanceUID, sopClassUID: plane.SOPClassUID },
      generalSeriesModule: {
        studyInstanceUID: plane.StudyInstanceUID,
        seriesInstanceUID: plane.SeriesInstanceUID,
      },
      imagePlaneModule: {
        frameOfReferenceUID: plane.FrameOfReferenceUID,
        rows: plane.Rows,
        columns: plane.Columns,
        imagePositionPatient: plane.ImagePositionPatient,
        imageOrientationPatient: directions,
        rowCosines: directions.slice(0, 3),
        columnCosines: directions.slice(3),
        pixelSpacing: spacing,
        rowPixelSpacing: spacing[0],
        columnPixelSpacing: spacing[1],
      },
      imagePixelModule: { bitsAllocated: 8, pixelRepresentation: 0, samplesPerPixel: 1 },
    }[kind];
  },
};
const { metaData } = await load('@cornerstonejs/core');
metaData.addProvider((kind, id) => provider.get(kind, id), 10000);
let seg;
try {
  const state = await adaptersSEG.Cornerstone3D.Segmentation.createFromDICOMSegBuffer(
    ids,
    bytes(segmentation),
    { metadataProvider: provider },
  );
  const segments = state.segMetadata.data
    .filter(Boolean)
    .map((one) => [one.SegmentNumber, one.SegmentLabel]);
  seg = { segments, planes: state.labelMapImages.flat().map(pixelsOf) };
} catch (error) {
  seg = { refused: String(error) };
}
fs.writeFileSync(answer, JSON.stringify({ measurements, seg }));
process.exit(0);

// segment number -> indices of its pixels
function pixelsOf(image) {
  const found = {};
  image.voxelManager.getScalarData().forEach((number, at) => {
    if (number) (found[number] ??= []).push(at);
  });
  return found;
}
