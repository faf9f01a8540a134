"""The allow-list of a scan: constructors that make data and nothing else, by canonical name.

To be here, a callable must not import, call, open or look up anything that its arguments name, and its cost must be
bounded by what the file holds. Classes are here for their instances: attributes are set by BUILD, and every name among
the attributes is judged on its own.
"""

from __future__ import annotations

from modelcrate.legacy.estimators import ESTIMATORS

_TABLE = """
builtins: bool bytearray bytes complex dict float frozenset int list object range set slice str tuple Ellipsis
    NotImplemented BaseException Exception ArithmeticError AssertionError AttributeError BufferError EOFError
    FileNotFoundError FloatingPointError IndexError KeyError KeyboardInterrupt LookupError MemoryError NameError
    NotImplementedError OSError OverflowError PermissionError RecursionError ReferenceError RuntimeError StopIteration
    SyntaxError SystemError TimeoutError TypeError UnicodeError ValueError UnicodeDecodeError UnicodeEncodeError
    ZeroDivisionError Warning DeprecationWarning FutureWarning RuntimeWarning UserWarning
_codecs: encode
copyreg: _reconstructor __newobj__ __newobj_ex__
collections: OrderedDict defaultdict Counter deque ChainMap UserDict UserList UserString
datetime: date datetime time timedelta timezone
decimal: Decimal Context
fractions: Fraction
uuid: UUID SafeUUID
pathlib: PurePath PurePosixPath PureWindowsPath PosixPath WindowsPath Path
ipaddress: IPv4Address IPv6Address IPv4Network IPv6Network IPv4Interface IPv6Interface
random: Random
array: array _array_reconstructor
zoneinfo: ZoneInfo
pytz: _UTC _p
pytz.tzinfo: _p
dateutil.tz.tz: tzutc tzlocal
dateutil.relativedelta: relativedelta
argparse: Namespace
types: SimpleNamespace NoneType
time: struct_time

numpy: ndarray dtype float16 float32 float64 longdouble int8 int16 int32 int64 uint8 uint16 uint32 uint64 longlong
    ulonglong intc uintc bool_ bool complex64 complex128 clongdouble str_ bytes_ void object_ datetime64 timedelta64
    recarray record matrix bool8 generic number integer floating
numpy.core.multiarray: _reconstruct scalar
numpy.core.numeric: _frombuffer
numpy.core._internal: _convert_to_stringdtype_kwargs
numpy.dtypes: StringDType Int8DType Int16DType Int32DType Int64DType UInt8DType Float32DType Float64DType BoolDType
    ObjectDType DateTime64DType TimeDelta64DType
numpy.ma: MaskedArray _mareconstruct mvoid MaskedConstant
numpy.random._pickle: __bit_generator_ctor __generator_ctor __randomstate_ctor
numpy.random._mt19937: MT19937
numpy.random._pcg64: PCG64 PCG64DXSM
numpy.random._philox: Philox
numpy.random._sfc64: SFC64
numpy.random._generator: Generator
numpy.random.mtrand: RandomState
numpy.random: RandomState Generator MT19937 PCG64 PCG64DXSM Philox SFC64 SeedSequence
numpy.random.bit_generator: SeedSequence __pyx_unpickle_SeedSequence __pyx_unpickle_SeedlessSeedSequence
numpy.polynomial.polynomial: Polynomial
numpy.polynomial.chebyshev: Chebyshev
numpy.polynomial.legendre: Legendre
numpy.polynomial.hermite: Hermite
numpy.polynomial.hermite_e: HermiteE
numpy.polynomial.laguerre: Laguerre
numpy: poly1d
numpy.lib.polynomial: poly1d
numpy.lib._polynomial_impl: poly1d

pandas.core.frame: DataFrame
pandas.core.series: Series
pandas.core.internals.managers: BlockManager SingleBlockManager
pandas.core.internals.blocks: new_block
pandas._libs.internals: _unpickle_block BlockPlacement
pandas._libs.arrays: __pyx_unpickle_NDArrayBacked
pandas.core.indexes.base: Index _new_Index
pandas.core.indexes.range: RangeIndex
pandas.core.indexes.multi: MultiIndex
pandas.core.indexes.numeric: Int64Index UInt64Index Float64Index NumericIndex
pandas.core.indexes.category: CategoricalIndex
pandas.core.indexes.datetimes: DatetimeIndex _new_DatetimeIndex
pandas.core.indexes.timedeltas: TimedeltaIndex _new_TimedeltaIndex
pandas.core.indexes.period: PeriodIndex _new_PeriodIndex
pandas.core.indexes.interval: IntervalIndex _new_IntervalIndex
pandas.core.indexes.frozen: FrozenList
pandas.core.arrays.categorical: Categorical
pandas.core.arrays.datetimes: DatetimeArray
pandas.core.arrays.timedeltas: TimedeltaArray
pandas.core.arrays.period: PeriodArray
pandas.core.arrays.interval: IntervalArray
pandas.core.arrays.boolean: BooleanArray BooleanDtype
pandas.core.arrays.integer: IntegerArray Int8Dtype Int16Dtype Int32Dtype Int64Dtype UInt8Dtype UInt16Dtype UInt32Dtype
    UInt64Dtype
pandas.core.arrays.floating: FloatingArray Float32Dtype Float64Dtype
pandas.core.arrays.string_: StringArray StringDtype
pandas.core.arrays.string_arrow: ArrowStringArray ArrowStringArrayNumpySemantics
pandas.core.arrays.arrow.array: ArrowExtensionArray
pandas.core.arrays.numpy_: PandasArray NumpyExtensionArray
pandas.core.arrays.sparse.array: SparseArray
pandas.core.arrays.sparse.dtype: SparseDtype
pandas.core.dtypes.dtypes: CategoricalDtype DatetimeTZDtype PeriodDtype IntervalDtype SparseDtype NumpyEADtype
    PandasDtype BaseMaskedDtype ArrowDtype
pandas.core.flags: Flags
pandas._libs.interval: Interval __pyx_unpickle_IntervalMixin
pandas._libs.missing: NA NAType
pandas._libs.sparse: IntIndex BlockIndex
pandas._libs.tslibs.nattype: __nat_unpickle NaT NaTType
pandas._libs.tslibs.timestamps: Timestamp _unpickle_timestamp
pandas._libs.tslibs.timedeltas: Timedelta _timedelta_unpickle
pandas._libs.tslibs.period: Period
pandas._libs.tslibs.offsets: Day Hour Minute Second Milli Micro Nano MonthEnd MonthBegin BusinessDay BDay YearEnd
    YearBegin QuarterEnd QuarterBegin Week WeekOfMonth BusinessMonthEnd BusinessMonthBegin SemiMonthEnd SemiMonthBegin
    BYearEnd BYearBegin BQuarterEnd BQuarterBegin Easter LastWeekOfMonth BusinessHour CustomBusinessHour
    CustomBusinessDay CustomBusinessMonthEnd CustomBusinessMonthBegin FY5253 FY5253Quarter DateOffset
pyarrow.lib: timestamp time32 time64 duration decimal32 decimal64 decimal128 decimal256 list_ large_list struct field
    dictionary binary map_ _restore_array py_buffer type_for_alias chunked_array

sklearn.preprocessing._data: StandardScaler MinMaxScaler MaxAbsScaler RobustScaler Normalizer Binarizer PowerTransformer
    QuantileTransformer KernelCenterer
sklearn.preprocessing.data: StandardScaler MinMaxScaler MaxAbsScaler RobustScaler Normalizer Binarizer PowerTransformer
    QuantileTransformer
sklearn.preprocessing._encoders: OneHotEncoder OrdinalEncoder
sklearn.preprocessing._target_encoder: TargetEncoder
sklearn.preprocessing._label: LabelEncoder LabelBinarizer MultiLabelBinarizer
sklearn.preprocessing.label: LabelEncoder LabelBinarizer MultiLabelBinarizer
sklearn.preprocessing._discretization: KBinsDiscretizer
sklearn.preprocessing._polynomial: PolynomialFeatures SplineTransformer
sklearn.mixture._bayesian_mixture: BayesianGaussianMixture
sklearn.mixture._gaussian_mixture: GaussianMixture
sklearn.mixture.bayesian_mixture: BayesianGaussianMixture
sklearn.mixture.gaussian_mixture: GaussianMixture
sklearn.compose._column_transformer: ColumnTransformer _RemainderColsList make_column_selector
sklearn.compose._target: TransformedTargetRegressor
sklearn.pipeline: Pipeline FeatureUnion
sklearn.impute._base: SimpleImputer MissingIndicator
sklearn.impute._knn: KNNImputer
sklearn.utils._bunch: Bunch
sklearn.neural_network._stochastic_optimizers: AdamOptimizer SGDOptimizer
sklearn.utils.deprecation: Bunch
sklearn.decomposition._pca: PCA
sklearn.decomposition._truncated_svd: TruncatedSVD
sklearn.linear_model._logistic: LogisticRegression
sklearn.linear_model._base: LinearRegression
sklearn.linear_model._ridge: Ridge RidgeClassifier
sklearn.linear_model._coordinate_descent: Lasso ElasticNet
sklearn.cluster._kmeans: KMeans MiniBatchKMeans
sklearn.neighbors._classification: KNeighborsClassifier
sklearn.neighbors._regression: KNeighborsRegressor
sklearn.tree._classes: DecisionTreeClassifier DecisionTreeRegressor ExtraTreeClassifier ExtraTreeRegressor
sklearn.tree._tree: Tree
sklearn.ensemble._forest: RandomForestClassifier RandomForestRegressor ExtraTreesClassifier ExtraTreesRegressor
sklearn.svm._classes: SVC SVR LinearSVC LinearSVR
sklearn.naive_bayes: GaussianNB MultinomialNB BernoulliNB
sklearn.feature_selection._variance_threshold: VarianceThreshold

joblib.numpy_pickle: NumpyArrayWrapper

torch: FloatStorage DoubleStorage HalfStorage BFloat16Storage LongStorage IntStorage ShortStorage CharStorage
    ByteStorage BoolStorage ComplexFloatStorage ComplexDoubleStorage QInt8Storage QUInt8Storage QInt32Storage
    QUInt4x2Storage QUInt2x4Storage UntypedStorage Size device dtype float32 float float64 double float16 half bfloat16
    int64 long int32 int int16 short int8 uint8 uint16 uint32 uint64 int1 int2 int3 int4 int5 int6 int7 uint1 uint2
    uint3 uint4 uint5 uint6 uint7 bits8 bits16 bits1x8 bits2x4 bits4x2 float4_e2m1fn_x2 quint4x2 quint2x4
    channels_last_3d bool complex32 complex64 complex128 float8_e4m3fn float8_e5m2 float8_e4m3fnuz float8_e5m2fnuz
    float8_e8m0fnu qint8 quint8 qint32 per_tensor_affine per_channel_affine per_tensor_symmetric per_channel_symmetric
    per_channel_affine_float_qparams strided sparse_coo contiguous_format channels_last preserve_format
torch.jit._pickle: build_intlist build_tensorlist build_doublelist build_boollist restore_type_tag
torch.storage: UntypedStorage TypedStorage _UntypedStorage _TypedStorage _load_from_bytes
torch.serialization: _get_layout
torch._C: Generator
torch._utils: _rebuild_tensor _rebuild_tensor_v2 _rebuild_tensor_v3 _rebuild_parameter _rebuild_parameter_with_state
    _rebuild_qtensor _rebuild_sparse_tensor _rebuild_meta_tensor_no_storage
torch._tensor: _rebuild_from_type_v2
torch.return_types: aminmax cummax cummin kthvalue max median min mode nanmedian sort topk
torch.nn.parameter: Parameter Buffer
torch.nn.backends.thnn: _get_thnn_function_backend
torch.nn.modules.activation: CELU ELU GELU GLU Hardshrink Hardsigmoid Hardswish Hardtanh LeakyReLU LogSigmoid LogSoftmax
    Mish MultiheadAttention PReLU ReLU ReLU6 RReLU SELU SiLU Sigmoid Softmax Softmax2d Softmin Softplus Softshrink
    Softsign Tanh Tanhshrink Threshold
torch.nn.modules.adaptive: AdaptiveLogSoftmaxWithLoss
torch.nn.modules.batchnorm: BatchNorm1d BatchNorm2d BatchNorm3d SyncBatchNorm
torch.nn.modules.channelshuffle: ChannelShuffle
torch.nn.modules.container: Container ModuleDict ModuleList ParameterDict ParameterList Sequential
torch.nn.modules.conv: Conv1d Conv2d Conv3d ConvTranspose1d ConvTranspose2d ConvTranspose3d
torch.nn.modules.distance: CosineSimilarity PairwiseDistance
torch.nn.modules.dropout: AlphaDropout Dropout Dropout1d Dropout2d Dropout3d FeatureAlphaDropout
torch.nn.modules.flatten: Flatten Unflatten
torch.nn.modules.fold: Fold Unfold
torch.nn.modules.instancenorm: InstanceNorm1d InstanceNorm2d InstanceNorm3d
torch.nn.modules.linear: Bilinear Identity Linear NonDynamicallyQuantizableLinear
torch.nn.modules.loss: BCELoss BCEWithLogitsLoss CTCLoss CosineEmbeddingLoss CrossEntropyLoss GaussianNLLLoss
    HingeEmbeddingLoss HuberLoss KLDivLoss L1Loss MSELoss MarginRankingLoss MultiMarginLoss NLLLoss PoissonNLLLoss
    SmoothL1Loss SoftMarginLoss TripletMarginLoss LinearCrossEntropyLoss MultiLabelMarginLoss MultiLabelSoftMarginLoss
    NLLLoss2d TripletMarginWithDistanceLoss
torch.nn.modules.module: Module _WrappedHook
torch.nn.modules.normalization: CrossMapLRN2d GroupNorm LayerNorm LocalResponseNorm RMSNorm
torch.nn.modules.padding: CircularPad1d CircularPad2d CircularPad3d ReflectionPad3d ConstantPad1d ConstantPad2d
    ConstantPad3d ReflectionPad1d ReflectionPad2d ReplicationPad1d ReplicationPad2d ReplicationPad3d ZeroPad1d ZeroPad2d
    ZeroPad3d
torch.nn.modules.pixelshuffle: PixelShuffle PixelUnshuffle
torch.nn.modules.pooling: AdaptiveAvgPool1d AdaptiveAvgPool2d AdaptiveAvgPool3d AdaptiveMaxPool1d AdaptiveMaxPool2d
    AdaptiveMaxPool3d AvgPool1d AvgPool2d AvgPool3d FractionalMaxPool2d FractionalMaxPool3d LPPool3d LPPool1d LPPool2d
    MaxPool1d MaxPool2d MaxPool3d MaxUnpool1d MaxUnpool2d MaxUnpool3d
torch.nn.modules.rnn: GRU GRUCell LSTM LSTMCell RNN RNNBase RNNCell RNNCellBase
torch.nn.parallel.data_parallel: DataParallel
torch.nn.utils.rnn: PackedSequence
torch.nn.modules.sparse: Embedding EmbeddingBag
torch.nn.modules.transformer: Transformer TransformerDecoder TransformerDecoderLayer TransformerEncoder
    TransformerEncoderLayer
torch.nn.modules.upsampling: Upsample UpsamplingBilinear2d UpsamplingNearest2d
torch.nn.utils.spectral_norm: SpectralNorm SpectralNormLoadStateDictPreHook SpectralNormStateDictHook
torch.nn.utils.weight_norm: WeightNorm
torch.optim: Adafactor Muon
torch.optim._adafactor: Adafactor
torch.optim._muon: Muon
torch.optim.adadelta: Adadelta
torch.optim.adagrad: Adagrad
torch.optim.adam: Adam
torch.optim.adamax: Adamax
torch.optim.adamw: AdamW
torch.optim.asgd: ASGD
torch.optim.lbfgs: LBFGS
torch.optim.nadam: NAdam
torch.optim.radam: RAdam
torch.optim.rmsprop: RMSprop
torch.optim.rprop: Rprop
torch.optim.sgd: SGD
torch.optim.sparse_adam: SparseAdam
torch.optim.swa_utils: AveragedModel SWALR
torch.optim.lr_scheduler: StepLR MultiStepLR ConstantLR LinearLR ExponentialLR CosineAnnealingLR PolynomialLR CyclicLR
    CosineAnnealingWarmRestarts OneCycleLR ReduceLROnPlateau LambdaLR MultiplicativeLR SequentialLR ChainedScheduler
torch.distributed.checkpoint.metadata: Metadata TensorStorageMetadata BytesStorageMetadata ChunkStorageMetadata
    MetadataIndex TensorProperties StorageMeta _MEM_FORMAT_ENCODING
torch.distributed.checkpoint.filesystem: _StorageInfo

pytorch_lightning.utilities.parsing: AttributeDict
lightning.pytorch.utilities.parsing: AttributeDict
lightning.fabric.utilities.data: AttributeDict
lightning_fabric.utilities.data: AttributeDict
"""
_NESTED = frozenset({"zoneinfo:ZoneInfo._unpickle", "pandas._libs.missing:NAType"})


def _parse(table: str) -> frozenset[str]:
    names: set[str] = set()
    module = ""
    for line in table.splitlines():
        head, colon, rest = line.partition(":")
        if colon and not line.startswith(" "):
            module = head
        names.update(f"{module}.{name}" for name in (rest if colon else line).split())
    return frozenset(names)


_UFUNCS = _parse("""
_: absolute add log log2 log10 log1p exp expm1 exp2 sqrt square power sin cos tan tanh arctan greater greater_equal less
    less_equal equal not_equal maximum minimum multiply subtract divide true_divide floor ceil rint sign negative isnan
    isfinite isinf
""")
REFERENCES = (
    frozenset("numpy" + name[1:] for name in _UFUNCS)
    | frozenset("numpy.core._multiarray_umath" + name[1:] for name in _UFUNCS)
    | _parse("""
builtins: abs len sorted min max sum round repr type
builtins: print
decimal: Clamped DivisionByZero FloatOperation Inexact InvalidOperation Overflow Rounded Subnormal Underflow
numpy: mean median sum std var min max amin amax nanmean nanmedian nanmin nanmax nansum argmax argmin clip prod cumsum
sklearn.feature_selection._univariate_selection: f_classif f_regression chi2 r_regression
sklearn.feature_selection._mutual_info: mutual_info_classif mutual_info_regression
torch.nn.functional: relu gelu elu leaky_relu tanh sigmoid softmax log_softmax relu6 selu celu silu mish hardswish
    hardsigmoid hardtanh logsigmoid softplus softsign softmin softshrink tanhshrink glu normalize cosine_similarity
    pairwise_distance cross_entropy mse_loss l1_loss binary_cross_entropy nll_loss dropout linear
torch._C._nn: gelu softplus elu leaky_relu silu mish hardswish
torch: Tensor FloatTensor DoubleTensor HalfTensor BFloat16Tensor LongTensor IntTensor ShortTensor CharTensor ByteTensor
    BoolTensor
torch.cuda: FloatTensor DoubleTensor HalfTensor LongTensor IntTensor ByteTensor BoolTensor
pytorch_lightning.callbacks.model_checkpoint: ModelCheckpoint
pytorch_lightning.callbacks.early_stopping: EarlyStopping
""")
)
"""Pure functions and classes that data may refer to, but that a pickle has no reason to call."""

ALLOWED = _parse(_TABLE) | _parse(ESTIMATORS) | _NESTED | REFERENCES
