"""The tables that SpatiaLite keeps in a database: no revision names them, and no model.

They are made by ``InitSpatialMetaData()`` and its like, and written to by functions such as
``AddGeometryColumn()``. https://www.gaia-gis.it/fossil/libspatialite/home
"""

from __future__ import annotations

import re
from collections.abc import Iterable

# Without these two there is none of it.
_SIGN = frozenset({"spatial_ref_sys", "geometry_columns"})
_OWN = r"""
    (?:views_|virts_)?geometry_columns(?:_auth|_field_infos|_statistics|_time)?
    | spatial_ref_sys(?:_aux|_all)? | geom_cols_ref_sys | spatialite_history | sql_statements_log
    | spatialindex | elementarygeometries | knn2? | data_licenses | layer_statistics
    | (?:raster|vector)_coverages(?:_keyword|_srid|_ref_sys)?
    | vector_layers(?:_auth|_field_infos|_statistics)?
    | se_(?:external_graphics|fonts|(?:raster|vector)_style(?:s|d_layers))(?:_view)?
    | iso_metadata(?:_reference|_view)? | rl2map_configurations(?:_view)?
    | wms_(?:getcapabilities|getmap|ref_sys|settings) | topologies | networks
    | stored_(?:procedures|variables)
    | idx_iso_metadata_geometry
    """


def kept_by_spatialite(names: Iterable[str]) -> frozenset[str]:
    """Return those of a database's tables and views that belong to SpatiaLite.

    Its spatial indexes are called after a table and a column, ``idx_city_geom``.
    """
    every = list(names)
    if not {name.lower() for name in every} >= _SIGN:
        return frozenset()
    indexes = tuple(f"idx_{name.lower()}_" for name in every)
    own = re.compile(_OWN, re.IGNORECASE | re.VERBOSE)
    return frozenset(
        name for name in every if own.fullmatch(name) or name.lower().startswith(indexes)
    )
