<#
.SYNOPSIS
  Gives finished studies from the export folder of a scanner console to vfx-edge.
.DESCRIPTION
  A study (a sub-folder) is finished when nothing in it has changed for -QuietSeconds. It is copied
  beside the drop folder of `vfx-edge watch` and then renamed into it: nothing half-written is ever
  there. The export itself is not changed; what was handed over is noted in a file.
.EXAMPLE
  .\Watch-Studies.ps1 -Export D:\Export -Drop D:\vfx\drop
  and in another window:  vfx-edge watch D:\vfx\drop --http 127.0.0.1:8080
#>
[CmdletBinding()]
param(
    [Parameter(Mandatory)] [ValidateScript({ Test-Path $_ -PathType Container })] [string] $Export,
    [Parameter(Mandatory)] [ValidateScript({ Test-Path $_ -PathType Container })] [string] $Drop,
    [int] $QuietSeconds = 30,
    [int] $EverySeconds = 5,
    [switch] $Once
)
Set-StrictMode -Version Latest
$ErrorActionPreference = 'Stop'
$Drop = (Resolve-Path $Drop).Path.TrimEnd('\', '/')
$ledger = "$Drop.handed-over.txt"

function Get-Fingerprint([IO.DirectoryInfo] $study) {
    $files = @(Get-ChildItem -LiteralPath $study.FullName -Recurse -File)
    if ($files.Count -eq 0) { return $null }
    $newest = ($files | Measure-Object LastWriteTimeUtc -Maximum).Maximum
    if (((Get-Date).ToUniversalTime() - $newest).TotalSeconds -lt $QuietSeconds) { return $null }
    $bytes = ($files | Measure-Object Length -Sum).Sum
    return "$($study.Name)|$($files.Count)|$bytes|$($newest.Ticks)"
}

do {
    $known = if (Test-Path -LiteralPath $ledger) { @(Get-Content -LiteralPath $ledger) } else { @() }
    foreach ($study in Get-ChildItem -LiteralPath $Export -Directory) {
        $name = '{0}.{1}' -f $study.Name, [guid]::NewGuid().ToString('N').Substring(0, 8)
        $part = "$Drop.part.$name"
        try {
            $fingerprint = Get-Fingerprint $study
            if ($null -eq $fingerprint -or $known -contains $fingerprint) { continue }
            Copy-Item -LiteralPath $study.FullName -Destination $part -Recurse
            Move-Item -LiteralPath $part -Destination (Join-Path $Drop $name)
            Add-Content -LiteralPath $ledger $fingerprint
            Write-Host "handed over: $name"
        }
        catch {
            Remove-Item -LiteralPath $part -Recurse -Force -ErrorAction SilentlyContinue
            Write-Warning "tried again in $EverySeconds s: $_"
        }
    }
    if (-not $Once) { Start-Sleep -Seconds $EverySeconds }
} until ($Once)
