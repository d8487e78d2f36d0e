"""The Go structs behind ``inspect`` and ``info``, for templates (libpod ``define``; JSON keys where they differ)."""

from __future__ import annotations

_HEALTH = "Test:[]str, StartPeriod:int, StartInterval:int, Interval:int, Timeout:int, Retries:int"
_ADDRESSES = """
    EndpointID:str, Gateway:str, IPAddress:str, IPPrefixLen:int,
    SecondaryIPAddresses:[]define.Address{Addr:str, PrefixLength:int}, IPv6Gateway:str, GlobalIPv6Address:str,
    GlobalIPv6PrefixLen:int, SecondaryIPv6Addresses:[]define.Address{Addr:str, PrefixLength:int}, MacAddress:str,
    AdditionalMacAddresses=AdditionalMACAddresses:[]str
"""
_HOST_PORTS = "map[[]define.InspectHostPort{HostIP=HostIp:str, HostPort:str}]"
_THROTTLE = "[]define.InspectBlkioThrottleDevice{Path:str, Rate:int}"

_STATE = """
    *define.InspectContainerState{OciVersion:str, Status:str, Running:bool, Paused:bool, Restarting:bool,
    OOMKilled:bool, Dead:bool, Pid:int, ConmonPid:int, ExitCode:int, Error:str, StartedAt:time, FinishedAt:time,
    Health:*define.HealthCheckResults{Status:str, FailingStreak:int,
    Log:[]define.HealthCheckLog{Start:str, End:str, ExitCode:int, Output:str}}, Checkpointed:bool, CgroupPath:str,
    CheckpointedAt:time, RestoredAt:time, CheckpointLog:str, CheckpointPath:str, RestoreLog:str, Restored:bool,
    StoppedByUser:bool}
"""

_NETWORK = f"""
    *define.InspectNetworkSettings{{{_ADDRESSES}, Bridge:str, SandboxID:str, HairpinMode:bool, LinkLocalIPv6Address:str,
    LinkLocalIPv6PrefixLen:int, Ports:{_HOST_PORTS}, SandboxKey:str,
    Networks:map[*define.InspectAdditionalNetwork{{{_ADDRESSES}, NetworkID:str, DriverOpts:map[str],
    IPAMConfig:map[str], Links:[]str, Aliases:[]str}}]}}
"""

_CONFIG = f"""
    *define.InspectContainerConfig{{Hostname:str, DomainName=Domainname:str, User:str, AttachStdin:bool,
    AttachStdout:bool, AttachStderr:bool, Tty:bool, OpenStdin:bool, StdinOnce:bool, Env:[]str, Cmd:[]str, Image:str,
    Volumes:map[any], WorkingDir:str, Entrypoint:[]str, OnBuild:any, Labels:map[str], Annotations:map[str],
    StopSignal:str, StartupHealthCheck:*define.StartupHealthCheck{{{_HEALTH}, Successes:int}},
    Healthcheck:*manifest.Schema2HealthConfig{{{_HEALTH}}}, HealthcheckOnFailureAction:str, HealthLogDestination:str,
    HealthMaxLogCount=HealthcheckMaxLogCount:int, HealthMaxLogSize=HealthcheckMaxLogSize:int, CreateCommand:[]str,
    Timezone:str, SystemdMode:bool, Umask:str,
    Secrets:[]*define.InspectSecret{{Name:str, ID:str, UID:int, GID:int, Mode:int}}, Timeout:int, StopTimeout:int,
    Passwd:bool, ChrootDirs:[]str, SdNotifyMode=sdNotifyMode:str, SdNotifySocket=sdNotifySocket:str,
    ExposedPorts:map[any]}}
"""

_HOST_CONFIG = f"""
    *define.InspectContainerHostConfig{{Binds:[]str, CgroupManager:str, CgroupMode:str, ContainerIDFile:str,
    LogConfig:*define.InspectLogConfig{{Type:str, Config:map[str], Path:str, Tag:str, Size:str}}, NetworkMode:str,
    PortBindings:{_HOST_PORTS},
    RestartPolicy:*define.InspectRestartPolicy{{Name:str, MaximumRetryCount:int}}, AutoRemove:bool,
    AutoRemoveImage:bool, Annotations:map[str], VolumeDriver:str, VolumesFrom:[]str, CapAdd:[]str, CapDrop:[]str,
    Dns:[]str, DnsOptions:[]str, DnsSearch:[]str, ExtraHosts:[]str, HostsFile:str, GroupAdd:[]str, IpcMode:str,
    Cgroup:str, Cgroups:str, Links:[]str, OomScoreAdj:int, PidMode:str, Privileged:bool, PublishAllPorts:bool,
    ReadonlyRootfs:bool, SecurityOpt:[]str, Tmpfs:map[str], UTSMode:str, UsernsMode:str,
    IDMappings:*define.InspectIDMappings{{UIDMap=UidMap:[]str, GIDMap=GidMap:[]str}}, ShmSize:int, Runtime:str,
    ConsoleSize:[]int, Isolation:str, CpuShares:int, Memory:int, NanoCpus:int, CgroupParent:str, BlkioWeight:int,
    BlkioWeightDevice:[]define.InspectBlkioWeightDevice{{Path:str, Weight:int}}, BlkioDeviceReadBps:{_THROTTLE},
    BlkioDeviceWriteBps:{_THROTTLE}, BlkioDeviceReadIOps:{_THROTTLE}, BlkioDeviceWriteIOps:{_THROTTLE}, CpuPeriod:int,
    CpuQuota:int, CpuRealtimePeriod:int, CpuRealtimeRuntime:int, CpusetCpus:str, CpusetMems:str,
    Devices:[]define.InspectDevice{{PathOnHost:str, PathInContainer:str, CgroupPermissions:str}}, DiskQuota:int,
    KernelMemory:int, MemoryReservation:int, MemorySwap:int, MemorySwappiness:int, OomKillDisable:bool, Init:bool,
    PidsLimit:int, Ulimits:[]define.InspectUlimit{{Name:str, Soft:int, Hard:int}}, CpuCount:int, CpuPercent:int,
    IOMaximumIOps:int, IOMaximumBandwidth:int, CgroupConf:map[str], IntelRdtClosID:str}}
"""

CONTAINER = f"""
    interface{{ID=Id:str, Created:time, Path:str, Args:[]str, State:{_STATE}, Image:str, ImageDigest:str, ImageName:str,
    Rootfs:str, Pod:str, ResolvConfPath:str, HostnamePath:str, HostsPath:str, StaticDir:str, OCIConfigPath:str,
    OCIRuntime:str, ConmonPidFile:str, PidFile:str, Name:str, RestartCount:int, Driver:str, MountLabel:str,
    ProcessLabel:str, AppArmorProfile:str, EffectiveCaps:[]str, BoundingCaps:[]str, ExecIDs:[]str,
    GraphDriver:*define.DriverData{{Name:str, Data:map[str]}}, SizeRw:int, SizeRootFs:int,
    Mounts:[]define.InspectMount{{Type:str, Name:str, Source:str, Destination:str, Driver:str, Mode:str, Options:[]str,
    RW:bool, Propagation:str, SubPath:str}}, Dependencies:[]str, NetworkSettings:{_NETWORK}, Namespace:str,
    IsInfra:bool, IsService:bool, KubeExitCodePropagation:str, LockNumber=lockNumber:int, Config:{_CONFIG},
    HostConfig:{_HOST_CONFIG}, UseImageHosts:bool, UseImageHostname:bool}}
"""

IMAGE = f"""
    interface{{ID=Id:str, Digest:str, RepoTags:[]str, RepoDigests:[]str, Parent:str, Comment:str, Created:time,
    Config:*v1.ImageConfig{{User:str, ExposedPorts:map[any], Env:[]str, Entrypoint:[]str, Cmd:[]str, Volumes:map[any],
    WorkingDir:str, Labels:map[str], StopSignal:str, ArgsEscaped:bool}}, Version:str, Author:str, Architecture:str,
    Os:str, Size:int, VirtualSize:int, GraphDriver:*define.DriverData{{Name:str, Data:map[str]}},
    RootFS:*define.RootFS{{Type:str, Layers:[]str}}, Labels:map[str], Annotations:map[str], ManifestType:str, User:str,
    History:[]v1.History{{Created=created:time, CreatedBy=created_by:str, Author=author:str, Comment=comment:str,
    EmptyLayer=empty_layer:bool}}, NamesHistory:[]str,
    HealthCheck=Healthcheck:*manifest.Schema2HealthConfig{{{_HEALTH}}}}}
"""

_EXECUTABLE = "Executable=executable:str, Package=package:str, Version=version:str"
_MAPS = "[]idtools.IDMap{ContainerID=container_id:int, HostID=host_id:int, Size=size:int}"

INFO = f"""
    *define.Info{{Host=host:*define.HostInfo{{Arch=arch:str, BuildahVersion=buildahVersion:str,
    CgroupManager=cgroupManager:str, CgroupsVersion=cgroupVersion:str, CgroupControllers=cgroupControllers:[]str,
    Conmon=conmon:*define.ConmonInfo{{Package=package:str, Path=path:str, Version=version:str}}, CPUs=cpus:int,
    CPUUtilization=cpuUtilization:*define.CPUUsage{{UserPercent=userPercent:float, SystemPercent=systemPercent:float,
    IdlePercent=idlePercent:float}}, DatabaseBackend=databaseBackend:str,
    Distribution=distribution:define.DistributionInfo{{Distribution=distribution:str, Variant=variant:str,
    Version=version:str, Codename=codename:str}}, EventLogger=eventLogger:str, FreeLocks=freeLocks:int,
    Hostname=hostname:str, IDMappings=idMappings:define.IDMappings{{GIDMap=gidmap:{_MAPS}, UIDMap=uidmap:{_MAPS}}},
    Kernel=kernel:str, LogDriver=logDriver:str, MemFree=memFree:int, MemTotal=memTotal:int,
    NetworkBackend=networkBackend:str,
    NetworkBackendInfo=networkBackendInfo:types.NetworkInfo{{Backend=backend:str, Version=version:str,
    Package=package:str, Path=path:str, DNS=dns:types.DNSNetworkInfo{{Version=version:str, Package=package:str,
    Path=path:str}}, DefaultNetwork=defaultNetwork:str}},
    OCIRuntime=ociRuntime:*define.OCIRuntimeInfo{{Name=name:str, Package=package:str, Path=path:str,
    Version=version:str}}, OS=os:str, RemoteSocket=remoteSocket:*define.RemoteSocket{{Path=path:str,
    Exists=exists:bool}}, RootlessNetworkCmd=rootlessNetworkCmd:str, RuntimeInfo=runtimeInfo:map[any],
    ServiceIsRemote=serviceIsRemote:bool, Security=security:define.SecurityInfo{{AppArmorEnabled=apparmorEnabled:bool,
    DefaultCapabilities=capabilities:str, Rootless=rootless:bool, SECCOMPEnabled=seccompEnabled:bool,
    SECCOMPProfilePath=seccompProfilePath:str, SELinuxEnabled=selinuxEnabled:bool}},
    Slirp4NetNS=slirp4netns:define.SlirpInfo{{{_EXECUTABLE}}}, Pasta=pasta:define.PastaInfo{{{_EXECUTABLE}}},
    SwapFree=swapFree:int, SwapTotal=swapTotal:int, Uptime=uptime:str, Variant=variant:str, Linkmode=linkmode:str,
    EmulatedArchitectures=emulatedArchitectures:[]str}},
    Store=store:*define.StoreInfo{{ConfigFile=configFile:str,
    ContainerStore=containerStore:define.ContainerStore{{Number=number:int, Paused=paused:int, Running=running:int,
    Stopped=stopped:int}}, GraphDriverName=graphDriverName:str, GraphOptions=graphOptions:map[any],
    GraphRoot=graphRoot:str, GraphRootAllocated=graphRootAllocated:int, GraphRootUsed=graphRootUsed:int,
    GraphStatus=graphStatus:map[str], ImageCopyTmpDir=imageCopyTmpDir:str,
    ImageStore=imageStore:define.ImageStore{{Number=number:int}}, RunRoot=runRoot:str, VolumePath=volumePath:str,
    TransientStore=transientStore:bool}},
    Registries=registries:map[any],
    Plugins=plugins:define.Plugins{{Volume=volume:[]str, Network=network:[]str, Log=log:[]str,
    Authorization=authorization:[]str}},
    Version=version:define.Version{{APIVersion:str, Version:str, GoVersion:str, GitCommit:str, BuiltTime:str, Built:int,
    BuildOrigin:str, OsArch:str, Os:str}}}}
"""
