"""What nvidia-smi says on machines of many kinds, cut down to the elements that we read.

Made by hand after real captures, whose numbers they carry: NVIDIA/k8s-test-infra,
tests/e2e/go/assertions/nvidiasmi/testdata (K8S below), influxdata/telegraf, plugins/inputs/nvidia_smi/testdata
(TELEGRAF), and our own (OURS). Some of K8S's come from NVIDIA's own mock of the library.
"""

from __future__ import annotations

V12 = '<!DOCTYPE nvidia_smi_log SYSTEM "nvsmi_device_v12.dtd">'
V13 = '<!DOCTYPE nvidia_smi_log SYSTEM "nvsmi_device_v13.dtd">'


def log(versions: str, attached: int, *gpus: str, doctype: str = V13) -> str:
    """Write what `nvidia-smi -q -x` would print."""
    return (
        f'<?xml version="1.0" ?>\n{doctype}\n<nvidia_smi_log><timestamp>Fri Aug 21 08:54:01 2026</timestamp>{versions}'
        f"<attached_gpus>{attached}</attached_gpus>{''.join(gpus)}</nvidia_smi_log>"
    )


def old(driver: str, cuda: str) -> str:
    return f"<driver_version>{driver}</driver_version><cuda_version>{cuda}</cuda_version>"


def new(driver: str, cuda: str) -> str:
    return f"<kmd_version>{driver}</kmd_version><cuda_umd_version>{cuda}</cuda_umd_version>"


def gpu(slot: str, name: str, architecture: str, memory: str, *elements: str, persistence: str = "Enabled") -> str:
    """Write one card; `memory` is total, reserved and used."""
    total, reserved, used = memory.split("/")
    kind = f"<product_architecture>{architecture}</product_architecture>" if architecture else ""
    return (
        f'<gpu id="{slot}"><product_name>{name}</product_name>{kind}<persistence_mode>{persistence}</persistence_mode>'
        f"<uuid>{uuid(slot)}</uuid>"
        f"<fb_memory_usage><total>{total}</total>{f'<reserved>{reserved}</reserved>' if reserved else ''}"
        f"<used>{used}</used></fb_memory_usage>"
        "<bar1_memory_usage><total>65536 MiB</total><used>1 MiB</used></bar1_memory_usage>"
        f"{''.join(elements)}</gpu>"
    )


def uuid(slot: str) -> str:
    return f"GPU-000000{slot[9:11].lower()}-0000-0000-0000-000000000000"


def mig(current: str, pending: str | None = None, instances: int = 0) -> str:
    inner = (
        "<mig_device><fb_memory_usage><total>10240 MiB</total><used>0 MiB</used></fb_memory_usage></mig_device>"
        * instances
    )
    return (
        f"<mig_mode><current_mig>{current}</current_mig><pending_mig>{pending or current}</pending_mig></mig_mode>"
        f"<mig_devices>{inner or 'None'}</mig_devices>"
    )


def ecc(parity: object = 0, dram: object = 0, exceeded: str = "No", tpc: str = "No") -> str:
    """Write ECC counters since driver 550."""
    return (
        f"<ecc_errors><volatile><sram_correctable>0</sram_correctable>"
        f"<sram_uncorrectable_parity>{parity}</sram_uncorrectable_parity>"
        "<sram_uncorrectable_secded>0</sram_uncorrectable_secded><dram_correctable>7</dram_correctable>"
        f"<dram_uncorrectable>{dram}</dram_uncorrectable></volatile><aggregate>"
        f"<dram_uncorrectable>8</dram_uncorrectable><sram_threshold_exceeded>{exceeded}</sram_threshold_exceeded>"
        f"</aggregate><channel_repair_pending>No</channel_repair_pending><tpc_repair_pending>{tpc}</tpc_repair_pending>"
        "</ecc_errors>"
    )


def older_ecc(sram: int = 0) -> str:
    """Write them as before, and as still for a T4."""
    return (
        f"<ecc_errors><volatile><sram_correctable>0</sram_correctable><sram_uncorrectable>{sram}</sram_uncorrectable>"
        "<dram_correctable>0</dram_correctable><dram_uncorrectable>0</dram_uncorrectable></volatile>"
        "<aggregate><dram_correctable>1</dram_correctable></aggregate></ecc_errors>"
    )


def oldest_ecc(total: object) -> str:
    return (
        f"<ecc_errors><volatile><single_bit><total>{total}</total></single_bit>"
        f"<double_bit><device_memory>{total}</device_memory><total>{total}</total></double_bit></volatile></ecc_errors>"
    )


def rows(pending: str = "No", failure: str = "No") -> str:
    return (
        "<retired_pages><pending_blacklist>N/A</pending_blacklist><pending_retirement>N/A</pending_retirement>"
        "</retired_pages><remapped_rows><remapped_row_corr>0</remapped_row_corr><remapped_row_unc>1</remapped_row_unc>"
        f"<remapped_row_pending>{pending}</remapped_row_pending>"
        f"<remapped_row_failure>{failure}</remapped_row_failure></remapped_rows>"
    )


def pages(pending: str = "No") -> str:
    return (
        "<retired_pages><double_bit_retirement><retired_count>0</retired_count></double_bit_retirement>"
        f"<pending_blacklist>No</pending_blacklist><pending_retirement>{pending}</pending_retirement></retired_pages>"
    )


def banks(pending: str = "No") -> str:
    return f"<remapped_banks><bank_remapper_pending>{pending}</bank_remapper_pending></remapped_banks>"


def fabric(state: str = "N/A", status: str = "N/A", summary: str | None = None) -> str:
    health = f"<health><summary>{summary}</summary><bandwidth>N/A</bandwidth></health>" if summary else ""
    return f"<fabric><state>{state}</state><status>{status}</status>{health}</fabric>"


def recovery(action: str = "None") -> str:
    return f"<gpu_recovery_action>{action}</gpu_recovery_action>"


def reset(required: str = "No", recommended: str = "No") -> str:
    return (
        f"<gpu_reset_status><reset_required>{required}</reset_required>"
        f"<drain_and_reset_recommended>{recommended}</drain_and_reset_recommended></gpu_reset_status>"
    )


JOINED = fabric("Completed", "Success", "N/A")
H100 = (mig("Disabled"), recovery(), ecc(), rows(), JOINED)

MACHINES = {
    # K8S/hardware/qx-h100.xml
    "eight H100": log(
        old("580.105.08", "13.0"),
        8,
        *(
            gpu(f"00000000:{bus}:00.0", "NVIDIA H100 80GB HBM3", "Hopper", "81559 MiB/480 MiB/0 MiB", *H100)
            for bus in ("53", "64", "75", "86", "97", "A8", "B9", "CA")
        ),
    ),
    # OURS: passed through to a virtual machine; CUDA counted 143155 MiB
    "an H200": log(
        old("580.159.04", "13.0"),
        1,
        gpu(
            *("00000000:00:06.0", "NVIDIA H200", "Hopper", "143771 MiB/616 MiB/0 MiB"),
            *(mig("Disabled"), recovery(), ecc(), rows(), fabric(summary="N/A")),
        ),
    ),
    # K8S/hardware/qx-b200.xml
    "a B200": log(
        old("580.105.08", "13.0"),
        1,
        gpu(
            *("00000000:8F:00.0", "NVIDIA B200", "Blackwell", "183359 MiB/728 MiB/0 MiB"),
            *(mig("Disabled"), recovery(), ecc(), rows(), fabric("Completed", "Success", "Healthy")),
            persistence="Disabled",
        ),
    ),
    # K8S/hardware/qx-gb300.xml
    "a GB300": log(
        old("580.173.02", "13.0"),
        1,
        gpu(
            *("00000008:06:00.0", "NVIDIA GB300", "Blackwell", "284208 MiB/947 MiB/0 MiB"),
            *(mig("Disabled"), recovery(), ecc(), rows(), fabric("Completed", "Success", "Healthy")),
        ),
    ),
    # K8S/hardware/qx-l40s.xml
    "an L40S": log(
        old("595.91.07", "13.2"),
        1,
        gpu(
            *("00000000:30:00.0", "NVIDIA L40S", "Ada Lovelace", "46068 MiB/609 MiB/0 MiB"),
            *(mig("N/A"), recovery(), ecc(), rows(), fabric(summary="N/A")),
        ),
    ),
    # K8S/hardware/qx-t4.xml
    "a T4": log(
        old("595.91.07", "13.2"),
        1,
        gpu(
            *("00000000:00:1E.0", "Tesla T4", "Turing", "15360 MiB/448 MiB/0 MiB"),
            *(mig("N/A"), recovery(), older_ecc(), pages(), fabric(summary="N/A")),
        ),
    ),
    # K8S/hardware/qx-a100.xml
    "an A100": log(
        old("570.148.08", "12.8"),
        1,
        gpu(
            *("00000000:06:00.0", "NVIDIA A100-SXM4-40GB", "Ampere", "40960 MiB/518 MiB/0 MiB"),
            *(mig("Disabled"), recovery(), ecc(), rows(), fabric()),
        ),
        doctype=V12,
    ),
    # K8S/qx-h100-mig-enabled.xml
    "an H100 in seven parts": log(
        old("550.163.01", "12.4"),
        1,
        gpu(
            *("00000000:1A:00.0", "NVIDIA H100 80GB HBM3", "Hopper", "81920 MiB/1024 MiB/0 MiB"),
            *(mig("Enabled", instances=7), recovery("N/A"), ecc(tpc="N/A"), rows(), JOINED),
        ),
    ),
    # TELEGRAF/a100-sxm4-v12.xml
    "an A100 in four parts": log(
        old("535.54.03", "12.2"),
        1,
        gpu(
            *("00000000:01:00.0", "NVIDIA A100-SXM4-80GB", "Ampere", "81920 MiB/869 MiB/50 MiB"),
            *(mig("Enabled", instances=4), reset(), older_ecc(), "<remapped_rows>N/A</remapped_rows>", fabric()),
            persistence="Disabled",
        ),
        doctype=V12,
    ),
    # TELEGRAF/quadro-p400.xml
    "a Quadro P400": log(
        old("418.43", "10.1"),
        1,
        gpu("00000000:43:00.0", "Quadro P400", "", "1998 MiB//0 MiB", oldest_ecc("N/A"), persistence="Disabled"),
        doctype="",
    ),
    # K8S/hardware/qx-vrnvl72.xml: old and new names side by side
    "a Vera Rubin": log(
        old("615.23", "13.4") + "<!-- use kmd_version instead -->" + new("615.23", "13.4"),
        1,
        gpu(
            *("00000002:81:00.0", "NVIDIA Graphics Device", "Rubin", "286524 MiB/1277 MiB/0 MiB"),
            *(mig("Disabled"), recovery(), ecc(), rows(), banks(), fabric("Completed", "Success", "Healthy")),
        ),
    ),
    # As it will be with CUDA 14, by the comments in that capture: the old names are gone.
    "a Vera Rubin with CUDA 14": log(
        new("700.10", "14.0"),
        1,
        gpu(
            *("00000002:81:00.0", "NVIDIA Graphics Device", "Rubin", "286524 MiB/1277 MiB/0 MiB"),
            *(mig("Disabled"), recovery(), ecc(), rows(), banks(), fabric("Completed", "Success", "Healthy")),
        ),
    ),
    # K8S/qx-gb200-ecc-injected.xml
    "a GB200 whose memory fails": log(
        old("580.65.06", "13.0"),
        1,
        gpu(
            *("0000:0A:00.0", "NVIDIA GB200", "Blackwell", "196608 MiB/1024 MiB/0 MiB"),
            *(mig("Disabled"), recovery("N/A"), ecc("N/A", 5, "N/A", "N/A"), pages(), rows(failure="Yes"), JOINED),
        ),
    ),
    # K8S/qx-gb200-lost.xml
    "a GB200 that is lost": log(
        old("580.65.06", "13.0"),
        1,
        gpu(
            *("0000:0B:00.0", "NVIDIA GB200", "Blackwell", "GPU is lost/GPU is lost/GPU is lost"),
            *(mig("Disabled"), recovery("N/A"), ecc("N/A", "GPU is lost", "N/A", "N/A")),
            *("<remapped_rows>GPU is lost</remapped_rows>", fabric("GPU is lost", "N/A", "N/A")),
        ),
    ),
}
