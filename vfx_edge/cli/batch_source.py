"""What `vfx-edge batch` reads: a folder, a list, or a DICOMweb server that is asked for studies."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vfx_edge.cli.progress import ShareProgress
from vfx_edge.cli.show import tell

if TYPE_CHECKING:
    from vfx_edge.batch.clinical import ClinicalTable
    from vfx_edge.batch.studies import Found
    from vfx_edge.study import Clinical as Facts

Source = Annotated[
    str | None,
    typer.Argument(
        metavar="LIST_OR_FOLDER_OR_URL",
        help="The studies: a folder with all below it (DICOM of any depth, .zip, .nii.gz); a "
        "list: a .txt file with a path a line, or a .csv with a column path; or the https:// "
        "address of a DICOMweb server, which is asked for studies of CT.",
        show_default=False,
    ),
]
Query = Annotated[
    list[str] | None,
    typer.Option(
        "--query",
        metavar="ATTRIBUTE=VALUE",
        help="Of a DICOMweb server: only what matches, as QIDO-RS has it, such as "
        "StudyDate=20250101-20251231; may be given several times.",
        show_default=False,
    ),
]
Access = Annotated[
    Path | None,
    typer.Option(
        "--dicomweb",
        metavar="FILE",
        help="How the DICOMweb server lets you in: TOML with any of token_file (a bearer token), "
        "ca (PEM, signs the server's certificate), certificate and key (PEM, of this client).",
        show_default=False,
        readable=False,
    ),
]

Clinical = Annotated[
    Path | None,
    typer.Option(
        "--clinical",
        metavar="FILE",
        help="Facts of the patients for a set with a tabular network: a CSV with a row a study, a "
        "column study (its UID) or path, and age, sex, known_tumour, previous_fracture as far as "
        "they are known. They come before the DICOM headers'; no value of them goes into a result.",
        show_default=False,
        readable=False,
    ),
]


@dataclass(frozen=True)
class Given:
    """The source and what belongs to it, as the command line has it."""

    source: str
    query: list[str] | None = None
    access: Path | None = None
    clinical: Path | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if (self.query or self.access) and not self.is_server:
            raise typer.BadParameter(
                "--query and --dicomweb belong to a DICOMweb server: name its https:// address"
            )

    @property
    def is_server(self) -> bool:
        """Whether a server is asked."""
        return self.source.lower().startswith(("http://", "https://"))

    def clinical_table(self) -> "ClinicalTable | None":
        """Read before anything that takes longer. InputError leaves."""
        from vfx_edge.batch.clinical import read_clinical_table

        return None if self.clinical is None else read_clinical_table(self.clinical)

    def found(
        self, out: Path, table: "ClinicalTable | None", quiet: bool
    ) -> "tuple[Found, Mapping[str, Facts] | None]":
        """The studies, and what is known of their patients by name. InputError and UsageError
        leaves."""
        found = self._studies(out, quiet)
        if table is None:
            return found, None
        told = table.of(found.studies)
        if not quiet:
            tell(
                f"vfx-edge: clinical data of {len(told.by_study)} of {len(found.studies)} studies; "
                f"{told.strangers} rows name none of them"
            )
        return found, told.by_study

    def _studies(self, out: Path, quiet: bool) -> "Found":
        if not self.is_server:
            from vfx_edge.batch.studies import studies_of

            with ShareProgress(quiet) as progress:  # how many there will be, nobody knows

                def on_files(files: int) -> None:
                    progress.step(f"Looking: {files:,} files", 0.0)

                return studies_of(Path(self.source), out, on_files)
        from vfx_edge.batch.remote import query_of, server_of, studies_at

        return studies_at(server_of(self.source, self.access), query_of(self.query or []))
